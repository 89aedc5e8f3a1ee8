"""Who holds what now, and what all of them will hold at the projected peak; counts, never judges.

Every engine sequence, and every prompt that several sequences share, is one row of a table of
columns, so that a step record that advances a thousand of them is a handful of array operations.
"""

from collections import deque
from dataclasses import dataclass, field
from math import floor

import numpy as np
import numpy.typing as npt

from admission.curve import BUCKET_STEPS, DemandCurve, Trace
from admission.footprint import EngineShape, Price, Strand

Rows = npt.NDArray[np.int64]

_TOLERANCE_STEPS = BUCKET_STEPS // 2  # a row further off its trace than this is traced anew
_RETRACES_PER_RECORD = 16  # bounds the cost of one step record; the rest follow in the next
_FIRST_ROWS = 256


@dataclass(slots=True, eq=False)
class Lease:
    """One admitted request: its price when accepted and its rows, first prompt first."""

    lease_id: int
    price: Price
    trunks: list[int] = field(default_factory=list)
    branches: list[int] = field(default_factory=list)  # in the engine's order: prompt, then n
    prompt_of: dict[int, int] = field(default_factory=dict)  # branch -> index of its prompt
    outgrew: bool = False  # some answer became longer than its price


class Ledger:
    """The table of leases, in blocks; `held_blocks + free_blocks = usable_blocks` always.

    Blocks count as held once the engine has begun to compute them. Promises (`curve`) count from
    the moment a lease is granted.
    """

    def __init__(self, engine: EngineShape) -> None:
        self.engine = engine
        self.curve = DemandCurve(
            horizon_steps=engine.max_model_len + 2 * BUCKET_STEPS, block_tokens=engine.block_tokens
        )
        self.leases: dict[int, Lease] = {}
        self.clock = 0.0  # decode steps done
        self.held_blocks = 0
        self.backlog_tokens = 0  # prompt tokens of leases not yet computed by the engine
        self.sequences = 0
        self._next_id = 1
        self._free_rows: list[int] = []
        self._rows_used = 0
        self._make_columns(_FIRST_ROWS)
        self._traces: dict[int, Trace] = {}
        self._owner: dict[int, Lease] = {}
        self._to_prefill: deque[tuple[int, Lease]] = deque()

    # -- columns ---------------------------------------------------------------------------

    def _make_columns(self, size: int) -> None:
        def column() -> Rows:
            return np.zeros(size, dtype=np.int64)

        self._prompt, self._computed, self._generated = column(), column(), column()
        self._predicted, self._anchor, self._is_branch = column(), column(), column()
        self._started = column()

    def _grow_columns(self) -> None:
        for name in ("prompt", "computed", "generated", "predicted", "anchor", "is_branch", "started"):
            old = getattr(self, f"_{name}")
            setattr(self, f"_{name}", np.concatenate([old, np.zeros_like(old)]))

    def _new_row(self, strand: Strand) -> int:
        row = self._free_rows.pop() if self._free_rows else self._rows_used
        if row == self._rows_used:
            self._rows_used += 1
            if self._rows_used > self._prompt.size:
                self._grow_columns()
        self._prompt[row] = strand.prompt_tokens
        self._predicted[row] = strand.output_tokens
        self._is_branch[row] = strand.sequences
        self._computed[row] = self._generated[row] = self._started[row] = 0
        self._anchor[row] = self.step
        return row

    @property
    def step(self) -> int:
        """The step clock in whole steps."""
        return floor(self.clock)

    @property
    def free_blocks(self) -> int:
        """Usable blocks that nothing holds now."""
        return self.engine.usable_blocks - self.held_blocks

    # -- granting and ending ---------------------------------------------------------------

    def traces_of(self, price: Price) -> list[Trace]:
        """What granting `price` now would add to the curve; equal strands share one trace."""
        made: dict[Strand, Trace] = {}
        for strand in price.strands:
            if strand not in made:
                made[strand] = self._trace(strand, self.step, strand.output_tokens)
        return [made[strand] for strand in price.strands]

    def _trace(self, strand: Strand, anchor: int, output_tokens: int) -> Trace:
        ahead = self.engine.lookahead_tokens
        grow = output_tokens + ahead if strand.sequences else 0
        flat = grow if strand.reserved else 0
        return self.curve.trace(
            tokens=strand.prompt_tokens + flat,
            anchor_step=anchor,
            grow_tokens=grow - flat,
            # a row may lag its trace by the tolerance and still be alive
            end_step=max(anchor + output_tokens, self.step) + _TOLERANCE_STEPS,
            sequences=strand.sequences,
        )

    def grant(self, price: Price, traces: list[Trace] | None = None) -> Lease:
        """Open a lease; `traces` are those of `traces_of(price)` at this very moment."""
        lease = Lease(self._next_id, price)
        self._next_id += 1
        self.leases[lease.lease_id] = lease
        for strand, trace in zip(price.strands, traces or self.traces_of(price), strict=True):
            row = self._new_row(strand)
            (lease.branches if strand.sequences else lease.trunks).append(row)
            lease.prompt_of[row] = strand.prompt_index
            self._owner[row] = lease
            self._traces[row] = trace
            self.curve.add(trace)
            self._to_prefill.append((row, lease))
        self.sequences += price.sequences
        self.backlog_tokens += sum(strand.prompt_tokens for strand in price.strands)
        return lease

    def end_sequence(self, row: int) -> None:
        """The engine holds nothing more of this row; the last branch takes the trunks along."""
        lease = self._owner[row]
        lease.branches.remove(row)
        self._free(row)
        self.sequences -= 1
        if not lease.branches:
            for trunk in lease.trunks:
                self._free(trunk)
            lease.trunks.clear()

    def close(self, lease_id: int) -> None:
        """End whatever the lease still holds and forget it; unknown ids are a caller's bug."""
        lease = self.leases.pop(lease_id)
        for row in list(lease.branches):
            self.end_sequence(row)

    def _free(self, row: int) -> None:
        self.curve.remove(self._traces.pop(row))
        self.backlog_tokens -= int(self._prompt[row] - self._computed[row])
        self.held_blocks -= self._row_blocks(row)
        self._computed[row] = self._prompt[row] = 0
        self._generated[row] = self._started[row] = self._is_branch[row] = 0
        del self._owner[row]
        self._free_rows.append(row)

    def _row_blocks(self, row: int) -> int:
        return int(self._blocks_now(slice(row, row + 1)).sum())

    # -- what the engine reports -----------------------------------------------------------

    def prefilled(self, tokens: int) -> None:
        """Attribute prompt tokens that the engine computed or found cached, first come first served.

        The engine takes prompts in order of arrival, so the oldest incomplete rows got them.
        """
        while self._to_prefill:
            row, lease = self._to_prefill[0]
            if self._owner.get(row) is not lease or self._computed[row] >= self._prompt[row]:
                self._to_prefill.popleft()
                continue
            if tokens <= 0:
                return
            taken = min(tokens, int(self._prompt[row] - self._computed[row]))
            self._compute(row, taken)
            tokens -= taken

    def _compute(self, row: int, tokens: int) -> None:
        self.held_blocks -= self._row_blocks(row)
        self._computed[row] += tokens
        self._started[row] = 1
        self.backlog_tokens -= tokens
        self.held_blocks += self._row_blocks(row)

    def progress(self, rows: Rows, generated: Rows) -> Rows:
        """Set the tokens each running row has produced; returns rows that reached their prediction.

        `rows` are all branches the engine knows of. Moves the clock by their mean gain.
        """
        before = self._generated[rows]
        decoding = before > 0
        gained = (generated - before)[decoding]
        self.clock += float(gained.mean()) if gained.size else 1.0
        self.curve.advance_to(self.step)
        self._generated[rows] = generated
        for row in rows[(generated > 0) & (self._computed[rows] < self._prompt[rows])]:
            self._fully_computed(int(row))
        self.held_blocks = int(self._blocks_now(slice(0, self._rows_used)).sum())
        self._retrace_late(rows, generated)
        return rows[generated >= self._predicted[rows]]

    def _fully_computed(self, row: int) -> None:
        for each in (*self._owner[row].trunks, row):
            missing = int(self._prompt[each] - self._computed[each])
            if missing:
                self._compute(each, missing)

    def _blocks_now(self, rows: slice) -> Rows:
        size = self.engine.block_tokens
        ahead = self.engine.lookahead_tokens * self._is_branch[rows]
        tokens = self._computed[rows] + self._generated[rows] + ahead
        blocks: Rows = (tokens + size - 1) // size * self._started[rows]
        return blocks

    def _retrace_late(self, rows: Rows, generated: Rows) -> None:
        expected = np.maximum(self.step - self._anchor[rows], 0)
        late = rows[np.abs(generated - expected) > _TOLERANCE_STEPS]
        for row in late[:_RETRACES_PER_RECORD]:
            self._retrace(int(row))

    def _retrace(self, row: int) -> None:
        self._anchor[row] = self.step - self._generated[row]
        self._replace_trace(row)
        for trunk in self._owner[row].trunks:
            self._anchor[trunk] = max(self._anchor[trunk], self._anchor[row])
            self._predicted[trunk] = max(self._predicted[trunk], self._predicted[row])
            self._replace_trace(trunk)

    def _replace_trace(self, row: int) -> None:
        reserved = any(s.reserved for s in self._owner[row].price.strands)
        strand = Strand(
            int(self._prompt[row]), int(self._predicted[row]), int(self._is_branch[row]), reserved
        )
        self.curve.remove(self._traces[row])
        trace = self._trace(strand, int(self._anchor[row]), strand.output_tokens)
        self._traces[row] = trace
        self.curve.add(trace)

    def repredict(self, row: int, output_tokens: int) -> None:
        """The row will now produce `output_tokens` in all."""
        self._predicted[row] = output_tokens
        self._retrace(row)

    # -- readings --------------------------------------------------------------------------

    def lease_of(self, row: int) -> Lease:
        """The lease a row belongs to."""
        return self._owner[row]

    def generated_tokens(self, row: int) -> int:
        """Tokens a live branch has produced."""
        return int(self._generated[row])

    def predicted_tokens(self, row: int) -> int:
        """Tokens a live branch is now predicted to produce in all."""
        return int(self._predicted[row])

    def lease_blocks(self, lease: Lease) -> int:
        """Blocks a lease holds now."""
        return sum(self._row_blocks(row) for row in (*lease.trunks, *lease.branches))
