"""A trace as the lab plays it: who arrives when, who is counted, what the engine cannot take."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from admission.terms.decision import Priority
from loadtests.asking.trace_file import BLOCK_TOKENS, Row, read_rows

_USUAL_REQUESTS = 1200
ALONE = "all"  # the tenant of a trace that names no clients


@dataclass(frozen=True, slots=True)
class TraceRequest:
    """One request. It produces `output_tokens`, which no policy is told, at most `max_tokens`.

    A trace knows one prompt and one answer each. A log (`replay/`) may have several of both,
    then all of these lengths, and answers whose length the client fixed.
    """

    number: int  # place in order of arrival, from 0
    arrived_at_s: float
    tenant: str
    prompt_tokens: int
    output_tokens: int
    max_tokens: int
    prefix: tuple[str, ...] = ()  # names of its first blocks of 512 tokens
    priority: Priority = Priority.NORMAL
    deadline_s: float | None = None  # from its arrival; None: what the run promises everybody
    prompts: int = 1
    answers: int = 1  # to each prompt
    known_length: bool = False

    @property
    def engine_ids(self) -> tuple[str, ...]:
        """Of its sequences: `7` alone, else `7.0`, `7.1`, ..."""
        sequences = self.prompts * self.answers
        if sequences == 1:
            return (str(self.number),)
        return tuple(f"{self.number}.{place}" for place in range(sequences))


def number_of(engine_id: str) -> int:
    """The request whose sequence it is."""
    return int(engine_id.partition(".")[0])


@dataclass(frozen=True, slots=True)
class Cut:
    """Which part of a trace is played, and how fast.

    `skip` rows are left out, `warm_up` requests shape the state and are not counted, `limit` are
    counted; those after them go on arriving while the counted ones run.
    """

    skip: int = 0
    warm_up: int = 200
    limit: int | None = None
    rate_scale: float = 1.0
    max_tokens: int = 2048  # of requests that name none themselves
    context_tokens: int = 32_768  # what the model takes, prompt and answer

    @property
    def requests(self) -> int:
        """To warm up and counted, about: of a cut without a limit the usual number."""
        return self.warm_up + (self.limit or _USUAL_REQUESTS)


@dataclass(frozen=True, slots=True)
class TraceWorkload:
    """Requests in order of arrival; those in `counted` are what a policy is judged by.

    `left_out` rows asked for more than the model's context: no policy could serve them.
    """

    name: str
    requests: tuple[TraceRequest, ...]
    counted: range
    left_out: int = 0

    @property
    def offered(self) -> Sequence[TraceRequest]:
        """Those that are counted."""
        return self.requests[self.counted.start : self.counted.stop]

    @property
    def from_s(self) -> float:
        """When the first that is counted arrives."""
        return self.requests[self.counted.start].arrived_at_s

    @property
    def until_s(self) -> float:
        """When the last that is counted arrives."""
        return self.requests[self.counted.stop - 1].arrived_at_s

    @property
    def span_s(self) -> float:
        """Seconds in which the counted ones arrive: their number over it is the offered rate."""
        steps = len(self.counted) - 1
        return (self.until_s - self.from_s) * len(self.counted) / steps if steps else 0.0


def read_workload(path: Path, cut: Cut) -> TraceWorkload:
    """The workload of a trace file; ValueError says what is wrong with it."""
    return from_rows(path.name, read_rows(path), cut)


def from_rows(name: str, rows: Sequence[Row], cut: Cut) -> TraceWorkload:
    """Rows in any order as a workload; ValueError where none is left to be counted."""
    if any(row.at_s is None for row in rows):
        raise ValueError(f"{name}: no column timestamp_s: it cannot be played in time")
    ordered = sorted(rows, key=_at_s)[cut.skip :]
    fitting = [row for row in ordered if row.prompt_tokens < cut.context_tokens]
    begin_s = _at_s(fitting[0]) if fitting else 0.0
    requests = tuple(
        _request(number, row, (_at_s(row) - begin_s) / cut.rate_scale, cut)
        for number, row in enumerate(fitting)
    )
    last = len(requests) if cut.limit is None else cut.warm_up + cut.limit
    counted = range(cut.warm_up, min(last, len(requests)))
    if len(counted) < 2:  # noqa: PLR2004 - one request has no rate
        raise ValueError(
            f"{name}: {len(requests)} requests from row {cut.skip} on, {cut.warm_up} of them to "
            "warm up: fewer than 2 are left to be counted"
        )
    return TraceWorkload(name, requests, counted, len(ordered) - len(fitting))


def _at_s(row: Row) -> float:
    return row.at_s or 0.0


def _request(number: int, row: Row, arrived_at_s: float, cut: Cut) -> TraceRequest:
    most = cut.context_tokens - row.prompt_tokens
    return TraceRequest(
        number,
        arrived_at_s,
        row.client or ALONE,
        row.prompt_tokens,
        max(1, row.output_tokens),
        min(row.max_tokens or cut.max_tokens, most),
        row.blocks[: (row.prompt_tokens - 1) // BLOCK_TOKENS],  # the last is the prompt's own
    )
