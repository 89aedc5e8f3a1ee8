"""Settings and plans are tried on the first part of a workload; the best are played in full.

What a policy is shown with was always played in full, and so was what the oracle is said to reach.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from loadtests.lab.catalogue import Variant
from loadtests.lab.jobs import ORACLE, Cell, Job, JobResult, RunAll
from loadtests.lab.oracle.clairvoyant import PORTFOLIO

_PLANS = 3  # of the oracle's that go on: which is best changes with the load
Tried = Mapping[str, Sequence[Variant]]  # by policy


@dataclass(frozen=True, slots=True)
class Trial:
    """So many requests to warm up, so many counted; so many settings of a policy go on.

    Of the policies in `sweeps` all do.
    """

    warm_up: int
    requests: int
    finalists: int = 2
    sweeps: frozenset[str] = frozenset()

    def takes(self, policy: str, variants: int) -> bool:
        """Whether so many settings of a policy are tried before they are played in full."""
        return variants > self.go_on(policy) and policy not in self.sweeps

    def go_on(self, policy: str) -> int:
        """How many are played in full after a trial."""
        return _PLANS if policy == ORACLE else self.finalists

    def of(self, cell: Cell) -> Cell:
        """The part of a cell on which settings are tried."""
        return replace(cell, cut=replace(cell.cut, warm_up=self.warm_up, limit=self.requests))


def plans() -> Tried:
    """All schedules of the oracle."""
    return {ORACLE: [Variant(ORACLE, number) for number in range(len(PORTFOLIO))]}


def requests_of(cell: Cell, tried: Tried, trial: Trial) -> int:
    """Requests that are played for one comparison."""
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
    told = {name: [r for r in results if r.job.variant in each] for name, each in on_trial.items()}
    best = {name: best_of(theirs, trial.go_on(name)) for name, theirs in told.items()}
    return {**tried, **best}


def best_of(results: Sequence[JobResult], count: int) -> list[Variant]:
    """The best by requests in SLO; of settings that came to the same only the widest."""
    kept: list[JobResult] = []
    for result in sorted(results, key=_rank):
        if all(_times(result) != _times(other) for other in kept):
            kept.append(result)
    return [result.job.variant for result in kept[:count]]


def _rank(result: JobResult) -> tuple[float, float]:
    return -result.row.share_of_offered, -(result.job.variant.n or 0)


def _times(result: JobResult) -> list[tuple[float | None, float | None]]:
    """When each request was let in, and when it was over."""
    return [(each.accepted_at_s, each.ended_at_s) for each in result.played.outcomes]
