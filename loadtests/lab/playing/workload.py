"""A trace in the form that the lab plays: arrivals, the counted ones, and those left out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from admission.terms.decision import Priority
from loadtests.asking.trace_file import BLOCK_TOKENS, Row, read_rows

_USUAL_REQUESTS = 1200
ALONE = "all"  # the tenant of a trace that names no clients


@dataclass(frozen=True, slots=True)
class TraceRequest:
    """One request. It produces `output_tokens`, hidden from policies, and at most `max_tokens`.

    In a trace a request has one prompt and one answer. In a log (`replay/`) it may have several of
    both, all of these lengths, and the client may have fixed the length of the answers.
    """

    number: int  # place in order of arrival, from 0
    arrived_at_s: float
    tenant: str
    prompt_tokens: int
    output_tokens: int
    max_tokens: int
    prefix: tuple[str, ...] = ()  # names of its first blocks of 512 tokens
    priority: Priority = Priority.NORMAL
    deadline_s: float | None = None  # from its arrival; None: the run's bound
    prompts: int = 1
    answers: int = 1  # to each prompt
    known_length: bool = False

    @property
    def engine_ids(self) -> tuple[str, ...]:
        """Ids of its sequences: `7` if it has one, else `7.0`, `7.1`, ..."""
        sequences = self.prompts * self.answers
        if sequences == 1:
            return (str(self.number),)
        return tuple(f"{self.number}.{place}" for place in range(sequences))


def number_of(engine_id: str) -> int:
    """The number of the request that the sequence belongs to."""
    return int(engine_id.partition(".")[0])


@dataclass(frozen=True, slots=True)
class Cut:
    """Which part of a trace is played, and how fast.

    The first `skip` rows are left out. The next `warm_up` requests fill the engine and are not
    counted. Then `limit` requests are counted; later ones keep arriving while those run.
    """

    skip: int = 0
    warm_up: int = 200
    limit: int | None = None
    rate_scale: float = 1.0
    max_tokens: int = 2048  # for requests that set none
    context_tokens: int = 32_768  # the model's limit on prompt plus answer

    @property
    def requests(self) -> int:
        """About how many requests are played: the warm-up plus `limit`, or a usual number."""
        return self.warm_up + (self.limit or _USUAL_REQUESTS)


@dataclass(frozen=True, slots=True)
class TraceWorkload:
    """Requests in order of arrival; a policy is judged by those in `counted`.

    `left_out` counts rows that exceed the model's context: no policy could serve them.
    """

    name: str
    requests: tuple[TraceRequest, ...]
    counted: range
    left_out: int = 0

    @property
    def offered(self) -> Sequence[TraceRequest]:
        """The counted requests."""
        return self.requests[self.counted.start : self.counted.stop]

    @property
    def from_s(self) -> float:
        """When the first counted request arrives."""
        return self.requests[self.counted.start].arrived_at_s

    @property
    def until_s(self) -> float:
        """When the last counted request arrives."""
        return self.requests[self.counted.stop - 1].arrived_at_s

    @property
    def span_s(self) -> float:
        """Seconds over which counted requests arrive; their number over it is the offered rate."""
        steps = len(self.counted) - 1
        return (self.until_s - self.from_s) * len(self.counted) / steps if steps else 0.0


def read_workload(path: Path, cut: Cut) -> TraceWorkload:
    """The workload of a trace file; ValueError names the fault."""
    return from_rows(path.name, read_rows(path), cut)


def from_rows(name: str, rows: Sequence[Row], cut: Cut) -> TraceWorkload:
    """Rows, in any order, as a workload; ValueError if none is left to be counted."""
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
        row.blocks[: (row.prompt_tokens - 1) // BLOCK_TOKENS],  # no prompt shares its last block
    )
