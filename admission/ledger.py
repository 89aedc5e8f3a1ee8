"""Who holds what now, and what all will hold at the projected peak; counts, never judges."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import floor

from admission.curve import BUCKET_STEPS, DemandCurve, Trace
from admission.footprint import EngineShape, Price, Strand
from admission.lateness import Lateness
from admission.outlook import Fate, Outlook
from admission.prefixes import Chain
from admission.rows import Rows, RowTable
from admission.used import Used, used

_TOLERANCE_STEPS = BUCKET_STEPS // 2  # a row further off its trace than this is traced anew
_RETRACES_PER_RECORD = 32  # bounds the cost of one step record; the rest follow in the next
_DELAY_MAX_STEPS = 1024  # a longer way to the first token is traced again when it comes to that


@dataclass(slots=True, eq=False)
class Lease:
    """One admitted request: its price when accepted and its rows."""

    lease_id: int
    price: Price
    rows: tuple[int, ...] = ()  # every sequence in the engine's order: prompt by prompt, then n
    live: dict[int, int] = field(default_factory=dict)  # those not ended -> prompt index
    trunks: dict[int, int] = field(default_factory=dict)  # prompt index -> row of its shared part
    prompt_of: dict[int, int] = field(default_factory=dict)  # every row -> prompt index
    chains: dict[int, Chain] = field(default_factory=dict)  # prompt index -> names of its stretches
    reserved: bool = False  # holds its end from the start
    prefilled_tokens: int = 0  # of prompts, by rows that are gone
    produced: dict[int, int] = field(default_factory=dict)  # rows that ended -> their tokens

    def note_produced(self, row: int, tokens: int) -> None:
        """An answer ended; step records may end before its last token, so the most counts."""
        self.produced[row] = max(tokens, self.produced.get(row, 0))


@dataclass(slots=True)
class Begun:
    """Rows that the engine started on, and what it found of them that trunks of theirs count."""

    rows: list[int] = field(default_factory=list)
    echoed_tokens: int = 0


class Ledger:
    """The leases in blocks; `held_blocks + free_blocks = usable_blocks` always.

    Blocks count as held once the engine has begun to compute them. Promises (`curve`) count from
    the moment a lease is granted.
    """

    def __init__(self, engine: EngineShape) -> None:
        self.engine = engine
        self.curve = DemandCurve(
            horizon_steps=engine.max_model_len + _DELAY_MAX_STEPS + 2 * BUCKET_STEPS,
            max_tokens=engine.max_model_len + engine.lookahead_tokens,
            block_tokens=engine.block_tokens,
        )
        self.leases: dict[int, Lease] = {}
        self.clock = 0.0  # decode steps done
        self.step = 0  # the same in whole steps
        self.backlog_tokens = 0  # prompt tokens of leases that the engine has still to compute
        self.sequences = 0
        self._next_id = 1
        self._held: int | None = 0  # None: to be counted anew
        self._table = RowTable(
            block_tokens=engine.block_tokens, lookahead_tokens=engine.lookahead_tokens
        )
        self._traces: dict[int, Trace] = {}
        self._outlooks: dict[int, Outlook] = {}
        self._owner: dict[int, Lease] = {}
        self._lateness = Lateness()
        self._cached: dict[int, int] = {}  # rows not begun -> tokens the cache is foreseen to hold
        # rows the engine has still to compute, in its order -> tokens it will report for them
        # that a trunk holds already
        self._to_prefill: OrderedDict[int, int] = OrderedDict()
        self._aborted: OrderedDict[int, int] = OrderedDict()  # the same of leases about to end

    @property
    def held_blocks(self) -> int:
        """Blocks that leases hold now."""
        if self._held is None:
            self._held = self._table.held_blocks()
        return self._held

    @property
    def ordered_blocks(self) -> int:
        """Blocks beyond `held_blocks` that an engine which orders its steps ahead may hold.

        Its next step computes prompts, as many tokens as a step takes; it says so a step later.
        """
        if not self.engine.lookahead_tokens:
            return 0
        left, blocks = self.engine.max_batched_tokens, 0
        for row in self._to_prefill:
            found = self._cached.get(row, 0)
            taken = min(left, self._table.missing(row) - found)
            more = self._table.blocks(row, computing=found + taken)
            blocks += more - self._table.blocks(row)
            left -= taken
            if not left:
                break
        return blocks

    @property
    def free_blocks(self) -> int:
        """Usable blocks that nothing holds now."""
        return self.engine.usable_blocks - self.held_blocks

    # -- granting --------------------------------------------------------------------------

    def traces_of(self, price: Price) -> list[Trace]:
        """What granting `price` now would add to the curve; equal strands share one trace."""
        begin, count = self._delayed(price.prefill_tokens), len(price.strands)
        if count == 1:
            return [self._first_trace(price.strands[0], begin, entwined=1)]
        made: dict[Strand, Trace] = {}
        for strand in price.strands:
            if strand not in made:
                made[strand] = self._first_trace(strand, begin, entwined=count)
        return [made[strand] for strand in price.strands]

    def _delayed(self, prefill_tokens: int) -> int:
        """The step at which a prompt that comes now has its first token at the latest.

        The engine computes prompts in order of arrival, in what decoding leaves of a step; what it
        takes beyond that, on the way to the engine or in its queue, is learned.
        """
        steps = self.computing_steps(prefill_tokens) + self._lateness.steps
        return self.step + min(steps, _DELAY_MAX_STEPS)

    def computing_steps(self, prefill_tokens: int) -> int:
        """Steps until a prompt that comes now is computed, by what decoding leaves of each."""
        return -(-(self.backlog_tokens + prefill_tokens) // self.room_tokens())

    def room_tokens(self, more_sequences: int = 0) -> int:
        """Prompt tokens that decoding leaves room for in a step, with so many sequences more."""
        return max(1, self.engine.max_batched_tokens - self.sequences - more_sequences)

    def _first_trace(self, strand: Strand, begin_step: int, *, entwined: int) -> Trace:
        """Grows as if it began now and ends as if it began at `begin_step`: above either."""
        last = strand.prompt_tokens + strand.grow_tokens
        now = last if strand.reserved else self._seen_ahead(strand.prompt_tokens, strand.sequences)
        fate = Fate(strand.outlook, begin_step, copies=strand.copies)
        return self._trace(now, last, fate, sequences=strand.sequences, entwined=entwined)

    def _trace(
        self, tokens: int, last_tokens: int, fate: Fate, *, sequences: int, entwined: int
    ) -> Trace:
        return self.curve.trace(
            tokens,
            last_tokens,
            end_step=fate.end_step + _TOLERANCE_STEPS,
            sequences=sequences,
            fate=fate if fate.outlook.survival else None,
            entwined=entwined,
        )

    def _seen_ahead(self, tokens: int, sequences: int) -> int:
        return tokens + self.engine.lookahead_tokens if sequences else tokens

    def grant(self, price: Price, traces: Sequence[Trace] | None = None) -> Lease:
        """Open a lease; `traces` are those of `traces_of(price)` at this very moment."""
        lease = Lease(self._next_id, price, reserved=price.strands[0].reserved)
        self._next_id += 1
        self.leases[lease.lease_id] = lease
        step, begin = self.step, self._delayed(price.prefill_tokens)
        for strand, trace in zip(price.strands, traces or self.traces_of(price), strict=True):
            row = self._open(strand, lease)
            self._table.note_trace(row, anchor=step, begin=begin)
            self._traces[row] = trace
            self.curve.add(trace)
        lease.rows = tuple(lease.live)
        self.sequences += price.sequences
        self._lateness.expect(lease.rows, step + self.computing_steps(0))
        return lease

    def _open(self, strand: Strand, lease: Lease) -> int:
        index = strand.prompt_index
        row = self._table.add(
            prompt_tokens=strand.prompt_tokens,
            predicted_tokens=strand.outlook.good_until(0),
            is_branch=strand.sequences > 0,
        )
        self._owner[row] = lease
        self._outlooks[row] = strand.outlook
        lease.prompt_of[row] = index
        echoed = 0
        if not strand.sequences:
            lease.trunks[index] = row
        else:
            if index in lease.trunks and index in lease.live.values():
                echoed = self._table.prompt_tokens(lease.trunks[index])
            lease.live[row] = index
        self._to_prefill[row] = echoed
        self._cached[row] = strand.cached_tokens
        self.backlog_tokens += strand.prompt_tokens - strand.cached_tokens
        return row

    # -- ending ----------------------------------------------------------------------------

    def end_sequence(self, row: int) -> Lease | None:
        """The engine holds nothing more of this sequence; the last takes the shared prompt along.

        Returns its lease, or None when the row has ended before.
        """
        lease = self._owner.get(row)
        if lease is None:
            return None
        index = lease.live.pop(row)
        lease.note_produced(row, self._table.generated(row))
        self._free(row)
        self.sequences -= 1
        if index in lease.trunks and index not in lease.live.values():
            self._free(lease.trunks.pop(index))
        return lease

    def close(self, lease_id: int) -> None:
        """End whatever the lease still holds and forget it; unknown ids are a caller's bug."""
        lease = self.leases.pop(lease_id)
        for row in list(lease.live):
            self.end_sequence(row)

    def _free(self, row: int) -> None:
        self.curve.remove(self._traces.pop(row))
        missing = self._table.missing(row)
        self.backlog_tokens += self._cached.pop(row, 0) - missing
        self._owner[row].prefilled_tokens += self._table.prompt_tokens(row) - missing
        self._held = None
        self._to_prefill.pop(row, None)
        self._aborted.pop(row, None)
        self._lateness.forget(row)
        del self._owner[row], self._outlooks[row]
        self._table.remove(row)

    def stop_prefill(self, lease: Lease) -> None:
        """The engine is told to end this lease: what it computes now is for others, if any.

        What is counted here goes when the lease goes, and must not have been another's.
        """
        for row in (*lease.trunks.values(), *lease.live):
            if row in self._to_prefill:
                self._aborted[row] = self._to_prefill.pop(row)

    # -- what the engine reports -----------------------------------------------------------

    def prefilled(self, tokens: int) -> Begun:
        """Attribute prompt tokens that the engine computed or found cached.

        It takes prompts in order of arrival, so the oldest incomplete rows got them. Of those it
        started on, what is missing is not in the cache, whatever was foreseen.
        """
        begun = Begun()
        tokens = self._attribute(tokens, self._to_prefill, begun)
        self._attribute(tokens, self._aborted, begun)
        return begun

    def _attribute(self, tokens: int, queue: OrderedDict[int, int], begun: Begun) -> int:
        while tokens > 0 and queue:
            row, echoed = next(iter(queue.items()))
            if row in self._cached:
                self._begin(row)
                begun.rows.append(row)
            known = min(tokens, echoed)
            begun.echoed_tokens += known
            taken = min(tokens - known, self._table.missing(row))
            self._compute(row, taken)
            tokens -= known + taken
            queue[row] = echoed - known
            if not self._table.missing(row):
                del queue[row]
        return tokens

    def _begin(self, row: int) -> None:
        self.backlog_tokens += self._cached.pop(row, 0)

    def _compute(self, row: int, tokens: int) -> None:
        self._table.compute(row, tokens)
        self._held = None
        self.backlog_tokens -= tokens

    def progress(self, rows: Rows, generated: Rows) -> list[int]:
        """Set the tokens each running sequence has produced; returns whom to predict anew.

        Moves the clock by the mean gain of those that gained: an engine that only computes
        prompts brings no running sequence closer to its end.
        """
        gain, outlived = self._table.advance(rows, generated)
        self.clock += gain
        self.step = floor(self.clock)
        self.curve.advance_to(self.step)
        if self._to_prefill or self._aborted:
            for row in self._table.begun_incomplete():
                self._fully_computed(row)
        self._held = None
        for row in self._table.strayed(self.step, _TOLERANCE_STEPS)[:_RETRACES_PER_RECORD]:
            self._retrace(row)
        return outlived

    def _fully_computed(self, row: int) -> None:
        lease = self._owner[row]
        trunk = lease.trunks.get(lease.prompt_of[row])
        for each in (row,) if trunk is None else (trunk, row):
            self._begin(each)
            self._compute(each, self._table.missing(each))
            self._to_prefill.pop(each, None)
            self._aborted.pop(each, None)

    def _retrace(self, row: int) -> None:
        """Draw the rest of a sequence anew from where it stands."""
        table, lease, step = self._table, self._owner[row], self.step
        generated, outlook = table.generated(row), self._outlooks[row]
        begin = step
        if not generated:
            begin = table.begin(row) if table.begin(row) >= step else self._overdue(row)
        last = table.prompt_tokens(row) + max(generated, outlook.most_tokens)
        now = table.prompt_tokens(row) + generated + self.engine.lookahead_tokens
        self._replace(row, last if lease.reserved else now, last, Fate(outlook, begin, generated))
        table.note_trace(row, anchor=step - generated, begin=begin)
        trunk = lease.trunks.get(lease.prompt_of[row])
        if trunk is not None and self._traces[trunk].end_step <= self._traces[row].end_step:
            tokens = table.prompt_tokens(trunk)
            copies = list(lease.live.values()).count(lease.prompt_of[row])
            self._replace(trunk, tokens, tokens, Fate(outlook, begin, generated, copies))

    def _overdue(self, row: int) -> int:
        more = self.computing_steps(0) + self._lateness.overdue(row, self.step)
        return self.step + min(more, _DELAY_MAX_STEPS)

    def _replace(self, row: int, tokens: int, last_tokens: int, fate: Fate) -> None:
        old, entwined = self._traces[row], len(self._owner[row].price.strands)
        self.curve.remove(old)
        trace = self._trace(tokens, last_tokens, fate, sequences=old.sequences, entwined=entwined)
        self.curve.add(trace)
        self._traces[row] = trace

    def repredict(self, row: int, outlook: Outlook) -> None:
        """Expect something else of a row from now on."""
        self._outlooks[row] = outlook
        self._table.repredict(row, outlook.good_until(self._table.generated(row)))
        self._retrace(row)

    # -- readings --------------------------------------------------------------------------

    def computed_tokens(self, row: int) -> int:
        """Prompt tokens that are computed of a sequence that has not ended, the shared included."""
        lease, table = self._owner[row], self._table
        trunk = lease.trunks.get(lease.prompt_of[row])
        rows = (row,) if trunk is None else (trunk, row)
        return sum(table.prompt_tokens(each) - table.missing(each) for each in rows)

    def full_blocks(self, row: int) -> int:
        """Blocks that a sequence that has not ended has filled by itself."""
        table = self._table
        computed = table.prompt_tokens(row) - table.missing(row)
        return (computed + table.generated(row)) // self.engine.block_tokens

    def lease_of(self, row: int) -> Lease | None:
        """The lease of a sequence that has not ended."""
        return self._owner.get(row)

    def generated_tokens(self, row: int) -> int:
        """Tokens a sequence has produced; 0 once it has ended."""
        return self._table.generated(row) if row in self._owner else 0

    def predicted_tokens(self, row: int) -> int:
        """Tokens until which the prediction of a sequence holds; 0 once it has ended.

        Where it is known, this is its length.
        """
        return self._table.predicted(row) if row in self._owner else 0

    def used_by(self, lease: Lease) -> Used:
        """What a lease has taken of the engine so far."""
        table = self._table
        missing = sum(table.missing(row) for row in (*lease.trunks.values(), *lease.live))
        held = sum(table.prompt_tokens(row) for row in (*lease.trunks.values(), *lease.live))
        produced = [
            lease.produced[row] if row in lease.produced else table.generated(row)
            for row in lease.rows
        ]
        return used(
            lease.price,
            prefilled_tokens=lease.prefilled_tokens + held - missing,
            produced=produced,
            block_tokens=self.engine.block_tokens,
        )

    def lease_blocks(self, lease: Lease) -> int:
        """Blocks a lease holds now."""
        return sum(self._table.blocks(row) for row in (*lease.trunks.values(), *lease.live))
