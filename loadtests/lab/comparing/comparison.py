"""Policies compared on one cell: the best setting of each, and the best that was possible."""

import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from loadtests.lab.comparing.difference import PairedDifference, difference
from loadtests.lab.comparing.search import Trial, Tried, finalists, plans
from loadtests.lab.jobs import ORACLE, Cell, Job, JobResult, RunAll, best, engines_of, workload_of
from loadtests.lab.playing.outcome import PlayedOutcome
from loadtests.lab.summary import PolicyRow, counted


@dataclass(frozen=True, slots=True)
class PolicyComparison:
    """Rows in the order of the given policies.

    `oracle` is the row of the best known schedule, `most` the goodput that no schedule exceeds.
    `against` holds, by policy, how much more the first policy served.
    """

    cell: Cell
    left_out: int
    rows: tuple[PolicyRow, ...]
    oracle: PolicyRow
    most: float | None = None
    against: Mapping[str, PairedDifference] = field(default_factory=dict)
    outcomes: Mapping[str, Sequence[PlayedOutcome]] = field(
        default_factory=dict
    )  # by policy, counted
    sweep: tuple[PolicyRow, ...] = ()  # of policies whose settings were all played in full

    def fraction(self, row: PolicyRow) -> float | None:
        """Goodput over the oracle's; None if the oracle served nothing."""
        most = self.oracle.goodput_per_s
        return row.goodput_per_s / most if most else None

    def records(self) -> Iterator[dict[str, Any]]:
        """Every counted request under every policy, as plain values."""
        cell = self.cell
        named = {"trace": cell.trace.name, "rate_scale": cell.cut.rate_scale}
        for policy, outcomes in self.outcomes.items():
            for each in outcomes:
                about = {"kv_tokens": cell.kv_tokens, "policy": policy}
                yield named | about | each.as_json(cell.bounds)

    def as_json(self) -> dict[str, Any]:
        """Plain values with stable keys."""
        cell, cut = self.cell, self.cell.cut
        return {
            "trace": str(cell.trace),
            "profile": str(cell.profile),
            "kv_tokens": cell.kv_tokens,
            "rate_scale": cut.rate_scale,
            "load": cell.load,
            "warm_up": cut.warm_up,
            "left_out": self.left_out,
            "ttft_s": cell.bounds.ttft_s,
            "tpot_s": cell.bounds.tpot_s,
            "bound_goodput_per_s": self.most,
            "rows": [
                row.as_json() | {"fraction_of_oracle": self.fraction(row)}
                for row in (*self.rows, self.oracle)
            ],
            "sweep": [row.as_json() for row in self.sweep],
            f"{self.rows[0].policy}_served_more_than": {
                policy: each._asdict() for policy, each in self.against.items()
            },
        }


def compare(
    cell: Cell, tried: Tried, run_all: RunAll, *, seed: int, trial: Trial | None = None
) -> PolicyComparison:
    """Plays all policies and the oracle's schedules on one cell."""
    played = finalists(cell, {**tried, **plans()}, run_all, trial)
    results = run_all([Job(cell, each) for several in played.values() for each in several])
    asked = {policy: played[policy] for policy in tried}
    found = comparison(cell, asked, results, seed=seed, most=_most(cell))
    return replace(found, sweep=_sweep(results, tried, trial))


def _sweep(
    results: Sequence[JobResult], tried: Tried, trial: Trial | None
) -> tuple[PolicyRow, ...]:
    """A row for every setting of the policies in the sweep."""
    swept = {each for name in (trial.sweeps if trial else ()) for each in tried.get(name, ())}
    return tuple(result.row for result in results if result.job.variant in swept)


def comparison(
    cell: Cell,
    tried: Tried,
    results: Sequence[JobResult],
    *,
    seed: int,
    most: float | None = None,
) -> PolicyComparison:
    """The comparison from the runs of one cell: the best of each policy, and the bounds."""
    workload = workload_of(cell.trace, cell.cut)
    chosen = [
        best(result for result in results if result.job.variant in theirs)
        for theirs in tried.values()
    ]
    outcomes = {result.row.policy: counted(workload, result.played) for result in chosen}
    good = {
        policy: [each.good(cell.bounds) for each in theirs] for policy, theirs in outcomes.items()
    }
    first = chosen[0].row.policy
    against = {
        policy: difference(good[first], theirs, seed=seed)
        for policy, theirs in good.items()
        if policy != first
    }
    oracle = replace(best(results).row, policy=ORACLE, n=None)
    rows = tuple(result.row for result in chosen)
    return PolicyComparison(cell, workload.left_out, rows, oracle, most, against, outcomes)


def _most(cell: Cell) -> float | None:
    """Goodput that no schedule exceeds, per second; None without scipy."""
    if importlib.util.find_spec("scipy") is None:
        return None
    from loadtests.lab.oracle.bound import line_below, most_served  # noqa: PLC0415 - see above

    engines = engines_of(cell.profile, cell.kv_tokens)
    workload, shape = workload_of(cell.trace, cell.cut), engines.shape
    line = line_below(engines.seconds, shape)
    return most_served(workload, line, shape, cell.bounds) / workload.span_s
