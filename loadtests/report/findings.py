"""All that a report shows of a run or a search, worked out once for both languages."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from admission.terms.slo import Slo, parse_slo
from loadtests.judging.summary import said_for
from loadtests.judging.verdict import judge
from loadtests.record import RunRecord
from loadtests.report.stretch import Stretch, rounds, slices


@dataclass(frozen=True, slots=True)
class Term:
    """One term of the promise as it was kept; `value` None = never, or nothing to measure."""

    metric: str
    needed_ratio: float
    bound: float
    value: float | None
    met: bool


@dataclass(frozen=True, slots=True)
class RunFindings:
    """`reasons` are of what was refused or failed; `judged` is the stretch the verdict is about.

    `said`: the first words that the endpoint had for a reason.
    """

    run: RunRecord
    slo: Slo
    stretches: Sequence[Stretch]
    judged: Stretch | None
    terms: Sequence[Term]
    outcomes: Mapping[str, int]
    held: int
    reasons: Mapping[str, int]
    knee: float | None  # of a search; slices of a run are too noisy for one
    said: Mapping[str, str] = field(default_factory=dict)

    @property
    def search(self) -> Mapping[str, Any]:
        """What `sluice limit` found; empty of a run."""
        return self.run.limit

    @property
    def users(self) -> int | None:
        """The limit that was found; None where none was looked for, or there is none."""
        return self.search.get("sustained_concurrency") or None

    @property
    def flaws(self) -> Sequence[str]:
        """Why nothing of this is to be believed; empty = it is."""
        if not self.search:
            flaws: Sequence[str] = self.run.client.get("flaws", ())
            return flaws
        last = self.search["rounds"][-1]
        return last["client"]["flaws"] if last["seen"] == "invalid" else ()

    @property
    def good(self) -> bool:
        """Whether what was promised was kept, or a limit was found."""
        if self.search:
            return bool(self.search["exit_code"] == 0)
        return not self.flaws and all(term.met for term in self.terms)


def find(run: RunRecord) -> RunFindings:
    """ValueError where the SLO that was recorded is none."""
    slo = parse_slo(run.about["slo"]) if run.about.get("slo") else Slo()
    stretches = rounds(run.limit) if run.limit else slices(run.records, slo)
    judged = _judged(run.limit, stretches) if run.limit else None
    return RunFindings(
        run=run,
        slo=slo,
        stretches=stretches,
        judged=judged,
        terms=_terms(run, slo),
        outcomes=_outcomes(run, stretches),
        held=sum(each.held for each in stretches),
        reasons=_reasons(run),
        said=_said(run),
        knee=knee(stretches) if run.limit else None,
    )


def knee(stretches: Sequence[Stretch]) -> float | None:
    """Users at which the power, throughput over mean response time, is greatest (Kleinrock 1979).

    None where it was still rising at the most users there were, or falling from the fewest on.
    """
    found = [
        (users, sum(each.power for each in group) / len(group))
        for users, group in by_users(stretches)
    ]
    if not found:
        return None
    best = max(found, key=lambda each: each[1])
    return None if best in (found[0], found[-1]) else best[0]


def by_users(stretches: Sequence[Stretch]) -> list[tuple[float, list[Stretch]]]:
    """Valid ones of the same number of users together, fewest first."""
    valid = [each for each in stretches if each.seen != "invalid"]
    ordered = sorted(valid, key=lambda each: each.users)
    return [(users, list(group)) for users, group in groupby(ordered, key=lambda each: each.users)]


def _judged(found: Mapping[str, Any], stretches: Sequence[Stretch]) -> Stretch | None:
    """The soak that held at the limit; else the last round that is valid."""
    valid = [each for each in stretches if each.seen != "invalid"]
    held = [
        each
        for each in valid
        if each.users == found["sustained_concurrency"] and each.phase == "confirming"
    ]
    return next(reversed(held or valid), None)


def _terms(run: RunRecord, slo: Slo) -> list[Term]:
    """Of a search those that failed first above the limit, of a judged number of users its own."""
    if not run.limit:
        return [
            Term(c.metric, c.needed_ratio, c.bound, c.value, c.met)
            for c in judge(run.records, slo).checks
        ]
    last: Sequence[Mapping[str, Any]] = run.limit["rounds"][-1]["terms"]
    shown = [run.limit["fails_first"]] if run.limit["fails_first"] else []
    return [_term(each) for each in (last if run.limit["search"] is None else shown)]


def _term(each: Mapping[str, Any]) -> Term:
    value, bound = each["value"], each["bound"]
    kept = value is not None and (value >= bound if each["metric"] == "success" else value <= bound)
    return Term(each["metric"], each["needed_ratio"], bound, value, kept)


def _outcomes(run: RunRecord, stretches: Sequence[Stretch]) -> Mapping[str, int]:
    """Of a run all, of a search those that its rounds counted."""
    if not run.limit:
        return Counter(str(each.outcome) for each in run.records)
    total: Counter[str] = Counter()
    for each in stretches:
        total.update(each.outcomes)
    return total


def _said(run: RunRecord) -> Mapping[str, str]:
    if not run.limit:
        return said_for(run.records)
    found: dict[str, str] = {}
    for each in run.limit["rounds"]:
        found = each.get("said", {}) | found
    return found


def _reasons(run: RunRecord) -> Mapping[str, int]:
    if not run.limit:
        return Counter(each.reason for each in run.records if each.reason is not None)
    total: Counter[str] = Counter()
    for each in run.limit["rounds"]:
        total.update(each["reasons"])
    return total
