"""The stretches that a report compares: rounds of a search, or slices of a run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from admission.terms.slo import Slo
from loadtests.judging.summary import summarize
from loadtests.record import Record

_SLICES_MOST = 20
_REQUESTS_LEAST = 30  # of a slice, on average: below it a p95 is one request's


@dataclass(frozen=True, slots=True)
class Stretch:
    """Rates per modelled second. `phase`, `seen` and `binds` are a round's, None in a slice.

    `users`: of a round as many as were set, of a slice the requests in flight, on average.
    """

    users: float
    begin_s: float
    end_s: float
    offered: int
    held: int
    outcomes: Mapping[str, int]
    offered_per_s: float
    answered_per_s: float
    tokens_per_s: float
    goodput_ratio: float
    percentiles: Mapping[str, Mapping[str, float]]
    phase: str | None = None
    seen: str | None = None
    binds: str | None = None
    warm_up_s: float = 0.0

    @property
    def goodput_per_s(self) -> float:
        """Requests within both bounds."""
        return self.goodput_ratio * self.offered_per_s

    @property
    def success_ratio(self) -> float | None:
        """Answered, of all but those who hung up by their own will; None of nobody."""
        counted = self.offered - self.outcomes.get("cancelled", 0)
        return self.outcomes.get("answered", 0) / counted if counted else None

    @property
    def power(self) -> float:
        """Throughput over mean response time, which is users over throughput (Little's law)."""
        return self.answered_per_s**2 / self.users if self.users else 0.0


def rounds(found: Mapping[str, Any]) -> list[Stretch]:
    """Of a search. In a closed loop as many requests begin as end."""
    return [_round(each) for each in found["rounds"]]


def _round(each: Mapping[str, Any]) -> Stretch:
    return Stretch(
        users=each["concurrency"],
        begin_s=each["began_s"],
        end_s=each["began_s"] + each["seconds"],
        offered=each["offered"],
        held=each["held"],
        outcomes=each["outcomes"],
        offered_per_s=each["ended_per_s"],
        answered_per_s=each["finished_per_s"],
        tokens_per_s=each["output_tokens_per_s"],
        goodput_ratio=each["goodput_ratio"],
        percentiles=each["percentiles"],
        phase=each["phase"],
        seen=each["seen"],
        binds=each["binding_limit"],
        warm_up_s=each["warm_up_s"],
    )


def slices(records: Sequence[Record], slo: Slo) -> list[Stretch]:
    """Of a run, all of one length, from its beginning to its last arrival."""
    if not records:
        return []
    end_s = max(each.intended_at_s for each in records) or max(r.ended_at_s for r in records) or 1.0
    count = max(1, min(_SLICES_MOST, len(records) // _REQUESTS_LEAST))
    edges = [end_s * place / count for place in range(count + 1)]
    return [
        _slice(records, slo, begin_s, end_s, last=place == count - 1)
        for place, (begin_s, end_s) in enumerate(pairwise(edges))
    ]


def _slice(
    records: Sequence[Record], slo: Slo, begin_s: float, end_s: float, *, last: bool
) -> Stretch:
    begun = [
        each
        for each in records
        if begin_s <= each.intended_at_s and (each.intended_at_s < end_s or last)
    ]
    ended = [each for each in records if begin_s <= each.ended_at_s < end_s]
    seconds = end_s - begin_s
    found = summarize(begun, slo, seconds, ended=ended)
    busy_s = sum(
        max(0.0, min(each.ended_at_s, end_s) - max(each.intended_at_s, begin_s)) for each in records
    )
    return Stretch(
        users=busy_s / seconds,
        begin_s=begin_s,
        end_s=end_s,
        offered=found.offered,
        held=found.held,
        outcomes=found.outcomes,
        offered_per_s=len(begun) / seconds,
        answered_per_s=found.finished_per_s,
        tokens_per_s=found.output_tokens_per_s,
        goodput_ratio=found.goodput_ratio,
        percentiles=found.percentiles,
    )
