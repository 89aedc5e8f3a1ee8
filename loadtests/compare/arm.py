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
    """A run or a search, called by a letter. `records` by the number in which they were asked."""

    letter: str
    file: str
    found: RunFindings
    records: Mapping[float, Record]

    @property
    def about(self) -> Mapping[str, Any]:
        """What was asked of whom."""
        return self.found.run.about

    @property
    def slo(self) -> Slo:
        """What its goodput is judged by."""
        return self.found.slo

    @property
    def is_search(self) -> bool:
        """Whether it looked for a limit."""
        return bool(self.found.search)

    @property
    def is_open(self) -> bool:
        """Whether its arrivals waited for nobody, so that they are part of what was asked."""
        return not self.is_search and not str(self.about.get("load", "")).startswith("closed")

    @property
    def flaws(self) -> Sequence[str]:
        """Why it says nothing; empty = it does."""
        return self.found.flaws


def arm(place: int, file: str, run: RunRecord) -> Arm:
    """The arm of that place, A first."""
    records = {_number(each.id): each for each in run.records}
    return Arm(chr(ord("A") + place), file, find(run), dict(sorted(records.items())))


def _number(name: str) -> float:
    """By which a request was asked; turns of one conversation follow each other."""
    number, _, turn = name.rpartition("-")[2].partition("t")
    return int(number) + int(turn or 0) / _TURNS_MOST
