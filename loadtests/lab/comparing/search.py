"""Tries settings and schedules on the first part of a workload and plays the best in full.

Every reported result, of a policy or the oracle, comes from a run in full.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from loadtests.lab.catalogue import Variant
from loadtests.lab.jobs import ORACLE, Cell, Job, JobResult, RunAll
from loadtests.lab.oracle.clairvoyant import PORTFOLIO

_PLANS = 3  # schedules of the oracle that go on: which is best depends on the load
Tried = Mapping[str, Sequence[Variant]]  # by policy


@dataclass(frozen=True, slots=True)
class Trial:
    """The size of a trial in requests, and how many settings of a policy go on to a full run.

    All settings of the policies in `sweeps` go on.
    """

    warm_up: int
    requests: int
    finalists: int = 2
    sweeps: frozenset[str] = frozenset()

    def takes(self, policy: str, variants: int) -> bool:
        """Whether a policy with so many settings has a trial before the full runs."""
        return variants > self.go_on(policy) and policy not in self.sweeps

    def go_on(self, policy: str) -> int:
        """How many settings are played in full after a trial."""
        return _PLANS if policy == ORACLE else self.finalists

    def of(self, cell: Cell) -> Cell:
        """The part of a cell that a trial plays."""
        return replace(cell, cut=replace(cell.cut, warm_up=self.warm_up, limit=self.requests))


def plans() -> Tried:
    """All schedules of the oracle, as a policy to try."""
    return {ORACLE: [Variant(ORACLE, number) for number in range(len(PORTFOLIO))]}


def requests_of(cell: Cell, tried: Tried, trial: Trial) -> int:
    """How many requests one comparison plays."""
    part, full, count = trial.of(cell).cut.requests, cell.cut.requests, 0
    for policy, settings in {**tried, **plans()}.items():
        if trial.takes(policy, len(settings)):
            count += len(settings) * part + trial.go_on(policy) * full
        else:
            count += len(settings) * full
    return count


def finalists(cell: Cell, tried: Tried, run_all: RunAll, trial: Trial | None) -> Tried:
    """The settings of each policy that are played in full: all of them without a trial."""
    if trial is None:
        return tried
    part = trial.of(cell)
    on_trial = {name: each for name, each in tried.items() if trial.takes(name, len(each))}
    results = run_all([Job(part, one) for each in on_trial.values() for one in each])
    tried_by = {
        name: [r for r in results if r.job.variant in each] for name, each in on_trial.items()
    }
    best = {name: best_of(theirs, trial.go_on(name)) for name, theirs in tried_by.items()}
    return {**tried, **best}


def best_of(results: Sequence[JobResult], count: int) -> list[Variant]:
    """The best by requests in SLO; of settings with equal results only the widest."""
    kept: list[JobResult] = []
    for result in sorted(results, key=_rank):
        if all(_times(result) != _times(other) for other in kept):
            kept.append(result)
    return [result.job.variant for result in kept[:count]]


def _rank(result: JobResult) -> tuple[float, float]:
    return -result.row.share_of_offered, -(result.job.variant.n or 0)


def _times(result: JobResult) -> list[tuple[float | None, float | None]]:
    """When each request was accepted, and when it ended."""
    return [(each.accepted_at_s, each.ended_at_s) for each in result.played.outcomes]
