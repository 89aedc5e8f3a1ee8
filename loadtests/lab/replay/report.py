"""The report on a log: its contents, the results of replays, and what mode shadow saw."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from admission.terms.settings import Mode
from admission.terms.shadow import Seen, ShadowReport
from loadtests.lab.replay.entry import LogEntry, LoggedEnd
from loadtests.lab.replay.read import Log
from loadtests.lab.replay.summary import (
    Changes,
    Group,
    ReplayAgreement,
    ReplayTally,
    agreement,
    changes,
    class_of,
    counted,
    groups,
    tally,
    tenant_of,
)
from loadtests.lab.replay.true_lengths import TrueLengths


@dataclass(frozen=True, slots=True)
class ReplayRun:
    """One column of the report: the outcome of every request, by its place in the log."""

    name: str
    fates: Mapping[int, LoggedEnd]


@dataclass(frozen=True)
class Report:
    """A report; `replays` holds that under the settings in force and, if given, under new ones."""

    log: Log
    lengths: TrueLengths
    seed: int
    warm_up: int
    replays: tuple[ReplayRun, ...] = ()
    warnings: tuple[str, ...] = ()
    new_hash: str | None = None

    @cached_property
    def runs(self) -> tuple[ReplayRun, ...]:
        """The logged run, then the replays."""
        logged = {place: entry.fate for place, entry in enumerate(self.log.entries)}
        return (ReplayRun("logged", logged), *self.replays)

    @cached_property
    def places(self) -> tuple[int, ...]:
        """The places of the counted requests."""
        return counted(self.log.entries, self.warm_up)

    @cached_property
    def tallies(self) -> tuple[ReplayTally, ...]:
        """One tally per run."""
        return tuple(tally(self.log.entries, run.fates, self.places) for run in self.runs)

    def _groups(self, name_of: Any) -> list[Group]:
        return groups(self.log.entries, [run.fates for run in self.runs], self.places, name_of)

    @cached_property
    def tenants(self) -> list[Group]:
        """Groups by tenant and priority."""
        return self._groups(tenant_of)

    @cached_property
    def classes(self) -> list[Group]:
        """Groups by traffic class."""
        return self._groups(class_of)

    @cached_property
    def agreement(self) -> ReplayAgreement | None:
        """The log compared with its replay; None without one."""
        if not self.replays:
            return None
        return agreement(self.log.entries, self.replays[0].fates, self.places)

    @cached_property
    def changes(self) -> Changes | None:
        """New settings compared with those in force, both replayed; None without new ones."""
        if len(self.replays) < 2:  # noqa: PLR2004 - one is no comparison
            return None
        before, after = (run.fates for run in self.replays)
        return changes(self.log.entries, before, after, self.places)

    @cached_property
    def shadow(self) -> ShadowReport | None:
        """What mode shadow saw; None if no request was decided in it."""
        return seen_in(self.log.entries[self.warm_up :])

    def as_json(self) -> dict[str, Any]:
        """Plain values with stable keys."""
        log, lengths, shadow = self.log, self.lengths, self.shadow
        return {
            "log": log.name,
            "requests": len(log.entries),
            "counted": len(self.places),
            "warm_up": self.warm_up,
            "replicas": list(log.replicas),
            "config_hashes": dict(log.hashes),
            "new_config_hash": self.new_hash,
            "seed": self.seed,
            "lengths_drawn": {"refused": lengths.drawn_refused, "unended": lengths.drawn_unended},
            "cut_by_clients": lengths.cut_by_clients,
            "warnings": list(self.warnings),
            "runs": [
                {"name": run.name} | each.as_json()
                for run, each in zip(self.runs, self.tallies, strict=True)
            ],
            "agreement": None if self.agreement is None else asdict(self.agreement),
            "changes": None if self.changes is None else asdict(self.changes),
            "tenants": [asdict(each) for each in self.tenants],
            "classes": [asdict(each) for each in self.classes],
            "shadow": None if shadow is None else shadow.as_json(),
        }


def seen_in(entries: Sequence[LogEntry]) -> ShadowReport | None:
    """The requests of mode shadow that ended, counted as the gateway does."""
    report, asked = ShadowReport(), False
    for entry in entries:
        if entry.asked.mode is not Mode.SHADOW:
            continue
        asked = True
        fate = entry.fate
        if fate.finish is None:
            continue
        in_time = entry.in_slo(fate) if fate.whole else None
        report.note(Seen(entry.asked.traffic_class, fate.first, fate.reason, in_time))
    return report if asked else None
