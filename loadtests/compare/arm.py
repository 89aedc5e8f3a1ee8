"""One side of a comparison."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from admission.terms.slo import Slo
from loadtests.record import Record, RunRecord
from loadtests.report.findings import RunFindings, find

_TURNS_MOST = 100_000  # of a conversation


@dataclass(frozen=True, slots=True)
class Arm:
    """A run or a search, named by a letter. `records` are keyed by the number of the request."""

    letter: str
    file: str
    found: RunFindings
    records: Mapping[float, Record]

    @property
    def about(self) -> Mapping[str, Any]:
        """The parameters of the run and its endpoint."""
        return self.found.run.about

    @property
    def slo(self) -> Slo:
        """The SLO by which its goodput is judged."""
        return self.found.slo

    @property
    def is_search(self) -> bool:
        """Whether it searched for a limit."""
        return bool(self.found.search)

    @property
    def is_open(self) -> bool:
        """Whether its loop is open, so that its arrivals are part of the load."""
        return not self.is_search and not str(self.about.get("load", "")).startswith("closed")

    @property
    def flaws(self) -> Sequence[str]:
        """Why the arm is invalid; empty = it is valid."""
        return self.found.flaws


def arm(place: int, file: str, run: RunRecord) -> Arm:
    """The arm at that place; the first is A."""
    records = {_number(each.id): each for each in run.records}
    return Arm(chr(ord("A") + place), file, find(run), dict(sorted(records.items())))


def _number(name: str) -> float:
    """The request's number; turns of a conversation are consecutive."""
    number, _, turn = name.rpartition("-")[2].partition("t")
    return int(number) + int(turn or 0) / _TURNS_MOST
