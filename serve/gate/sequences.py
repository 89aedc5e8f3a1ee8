"""Which engine sequence is which row of the ledger, and what a step did to each of them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from admission.exchange import StepFacts, StepRecord
from serve.engine_step import EngineStep, RunningState

_FACTS = tuple(field.name for field in fields(StepFacts))


@dataclass(slots=True, eq=False)
class _Sequence:
    lease_id: int
    row: int
    engine_id: str
    stops: bool  # the front end ends it by stop strings: the engine hears of it a step later
    step: int = 0
    tokens: int = 0  # produced so far


@dataclass(slots=True)
class _Started:
    lease_id: int
    rows: tuple[int, ...]
    stops: bool
    unseen: list[int]  # rows of sequences that were neither seen running nor finished

    def take(self, index: int | None) -> int | None:
        """The row of a sequence that is seen first: by its index, else any row not yet seen."""
        row = self.rows[index] if index is not None and index < len(self.rows) else None
        if row not in self.unseen:
            row = self.unseen[0] if self.unseen else None
        if row is not None:
            self.unseen.remove(row)
        return row


class Sequences:
    """Follows every engine sequence from its start until it ends or its lease is given back.

    vLLM names sequences itself once they start (our id, a random tail, an index for n > 1), so a
    sequence is adopted when it is first seen running. One that ends in the step that computed its
    prompt is never seen running: it is known by its end alone, without its index.
    """

    def __init__(self) -> None:
        self._started: dict[str, _Started] = {}  # by engine id as we gave it
        self._ids: dict[int, list[str]] = {}  # by lease
        self._running: dict[str, _Sequence] = {}  # by vLLM's own id
        self._cut: dict[int, int] = {}  # by lease: tokens of sequences that did not finish
        self._step = 0

    def start(self, lease_id: int, engine_id: str, rows: Sequence[int], *, stops: bool) -> None:
        """An engine request of the lease begins; `rows` are its sequences, by index."""
        self._started[engine_id] = _Started(lease_id, tuple(rows), stops, list(rows))
        self._ids.setdefault(lease_id, []).append(engine_id)

    def started_rows(self, lease_id: int) -> int:
        """How many of a lease's rows were given to engine requests."""
        return sum(len(self._started[i].rows) for i in self._ids.get(lease_id, ()))

    def lease_of(self, engine_id: str) -> tuple[int, int] | None:
        """Lease and first row of an engine request, while the lease lives."""
        started = self._started.get(engine_id)
        return (started.lease_id, started.rows[0]) if started else None

    def has_tokens(self, lease_id: int) -> bool:
        """Whether a running sequence of the lease has produced a token."""
        return any(each.tokens > 0 for each in self._running.values() if each.lease_id == lease_id)

    def forget(self, lease_id: int) -> int | None:
        """The lease was given back: its sequences are the ledger's to count out.

        Returns the tokens of those that did not finish by themselves; None when all did.
        """
        for engine_id in self._ids.pop(lease_id, ()):
            del self._started[engine_id]
        for key in [key for key, seq in self._running.items() if seq.lease_id == lease_id]:
            self._count_cut(self._running.pop(key))
        return self._cut.pop(lease_id, None)

    def _count_cut(self, sequence: _Sequence) -> None:
        self._cut[sequence.lease_id] = self._cut.get(sequence.lease_id, 0) + sequence.tokens

    def read(self, step: EngineStep) -> StepRecord:
        """The step in rows of the ledger: who runs with how many tokens, who ended and how."""
        self._step += 1
        rows: list[int] = []
        generated: list[int] = []
        running, mark = self._running, self._step
        for key, state in step.running.items():
            if state.stats is None:
                continue
            sequence = running.get(key) or self._adopt(key, state)
            if sequence is not None:
                sequence.step = mark
                rows.append(sequence.row)
                sequence.tokens = state.stats.num_generation_tokens
                generated.append(sequence.tokens)
        ended, ending = (
            self._vanished(step) if step.finished or len(rows) < len(running) else ((), ())
        )
        return StepRecord(
            rows=np.array(rows, dtype=np.int64),
            generated=np.array(generated, dtype=np.int64),
            ended=ended,
            ending=ending,
            **{name: getattr(step, name) for name in _FACTS},
        )

    def _adopt(self, key: str, state: RunningState) -> _Sequence | None:
        started = self._started.get(state.external_req_id)
        row = None if started is None else started.take(state.request_index)
        if started is None or row is None:
            return None
        sequence = _Sequence(started.lease_id, row, state.external_req_id, started.stops)
        self._running[key] = sequence
        return sequence

    def _vanished(self, step: EngineStep) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Rows the engine has freed, and rows it will free when it hears of their end."""
        freed = Counter(finished.engine_id for finished in step.finished)
        ended: list[int] = []
        ending: list[int] = []
        for key in [key for key, seq in self._running.items() if seq.step != self._step]:
            sequence = self._running.pop(key)
            finished = freed[sequence.engine_id] > 0
            freed[sequence.engine_id] -= finished
            if not finished:
                self._count_cut(sequence)
            (ended if finished and not sequence.stops else ending).append(sequence.row)
        for engine_id, count in freed.items():
            started = self._started.get(engine_id)
            if started is not None:
                unseen = [row for _ in range(count) if (row := started.take(None)) is not None]
                (ending if started.stops else ended).extend(unseen)
        return tuple(ended), tuple(ending)
