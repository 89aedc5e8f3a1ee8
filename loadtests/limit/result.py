"""The result of a search, and its exit code."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from loadtests.client.facts import EndpointFacts
from loadtests.judging.interval import Counted, limit_interval
from loadtests.judging.search import Found, Phase, Seen
from loadtests.judging.verdict import Check
from loadtests.limit.prediction import Prediction
from loadtests.limit.rounds import Measured
from serve.exits import Exit

_EXITS = {Seen.MET: Exit.GOOD, Seen.MISSED: Exit.NO, Seen.INVALID: Exit.INVALID}


@dataclass(frozen=True, slots=True)
class Result:
    """All rounds and their conclusion. `asked` = the number of users to judge, if one was given.

    Without `asked`, `found` holds the search's conclusion.
    """

    url: str
    scenario: str
    slo: str
    facts: EndpointFacts
    rounds: Sequence[Measured]
    found: Found | None
    asked: int | None
    prediction: Prediction | None
    beside: Mapping[str, Any] | None  # another result as JSON, shown with this one
    wall_s: float

    @property
    def exit(self) -> Exit:
        """GOOD if the SLO is met at `asked`, or without it if a limit was found and confirmed."""
        if self.found is None:
            return _EXITS[self.rounds[-1].seen]
        if self.found.invalid:
            return Exit.INVALID
        return Exit.GOOD if self.found.confirmed else Exit.NO

    @property
    def interval(self) -> tuple[int, int] | None:
        """95 % interval in users; includes the limit that the descending pass found."""
        if self.found is None or not self.found.confirmed:
            return None
        low, high = limit_interval(list(self._counted()), self.found.users)
        above = self.found.from_above
        seen = self.found.users if above is None else above
        return min(low, seen), max(high, seen)

    @property
    def first_failure(self) -> tuple[Measured, Check] | None:
        """The round with the fewest users above the limit that missed, and its worst term."""
        limit = self.found.users if self.found else 0
        missed = [r for r in self.rounds if r.seen is Seen.MISSED and r.probe.users > limit]
        first = min(missed, key=lambda each: each.probe.users, default=None)
        if first is None or first.verdict.worst is None:
            return None
        return first, first.verdict.worst

    @property
    def binds(self) -> str | None:
        """The binding limit in the first round above the found limit that has one, else in any."""
        limit = self.found.users if self.found else 0
        telling = sorted((r for r in self.rounds if r.binds), key=lambda each: each.probe.users)
        above = [each for each in telling if each.probe.users > limit]
        return next((each.binds for each in above or reversed(telling)), None)

    def _counted(self) -> Iterator[Counted]:
        for each in self.rounds:
            if each.seen is not Seen.INVALID:
                for term in each.verdict.checks:
                    users = each.probe.users
                    yield Counted(users, term.metric, term.needed_ratio, term.kept, term.of)


def as_json(result: Result, sentence: str, about: Mapping[str, Any]) -> dict[str, Any]:
    """The result with stable keys. `about`: parameters and endpoint, as in a run's file."""
    failure = result.first_failure
    return {
        "v": 1,
        "sentence": sentence,
        "exit_code": int(result.exit),
        "url": result.url,
        "scenario": result.scenario,
        "slo": result.slo,
        "endpoint": asdict(result.facts),
        "asked_concurrency": result.asked,
        "sustained_concurrency": result.found.users if result.found else None,
        "interval_95": result.interval,
        "search": asdict(result.found) if result.found else None,
        "fails_first": None
        if failure is None
        else {"concurrency": failure[0].probe.users, **_term(failure[1])},
        "binding_limit": result.binds,
        "prediction": None if result.prediction is None else _predicted(result),
        "beside": result.beside,
        "rounds": [_round(each) for each in result.rounds],
        "wall_s": round(result.wall_s, 1),
        "about": {name: value for name, value in about.items() if name != "endpoint"},
    }


def _predicted(result: Result) -> dict[str, Any]:
    assert result.prediction is not None  # noqa: S101 - asked by the caller
    error = result.prediction.error_ratio(result.found.users) if result.found else None
    return asdict(result.prediction) | {"error_ratio": error}


def _term(term: Check) -> dict[str, Any]:
    value = None if term.strain == float("inf") else term.value  # JSON has no infinity
    return {"metric": term.metric, "needed_ratio": term.needed_ratio} | {
        "bound": term.bound,
        "value": value,
        "kept": term.kept,
        "of": term.of,
    }


def _round(each: Measured) -> dict[str, Any]:
    return {
        "concurrency": each.probe.users,
        "phase": each.probe.phase,
        "soak": each.probe.phase is Phase.CONFIRMING,
        "seen": each.seen,
        "seconds": round(each.seconds, 3),
        "warm_up_s": round(each.warm_up_s, 3),
        "began_s": round(each.began_s, 3),
        "terms": [_term(term) for term in each.verdict.checks],
        **asdict(each.summary),
        "binding_limit": each.binds,
        "client": each.client.told(),
    }
