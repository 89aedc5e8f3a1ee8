"""Compares runs of one log: requests refused, queued, and served in time."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from loadtests.judging.percentiles import percentile
from loadtests.lab.replay.entry import LogEntry, LoggedEnd

Fates = Mapping[int, LoggedEnd]  # by place in the log


@dataclass(frozen=True, slots=True)
class ReplayTally:
    """One run. Seconds count from arrival; None if no request has them."""

    offered: int
    refused: int
    reasons: Mapping[str, int]
    waited: int  # queued, however briefly
    in_slo: int
    ttft_p50_s: float | None
    ttft_p95_s: float | None
    tpot_p95_s: float | None
    waited_p95_s: float | None  # of requests that waited
    preemptions: int

    def as_json(self) -> dict[str, Any]:
        """Plain values with stable keys."""
        return asdict(self) | {"reasons": dict(self.reasons)}


@dataclass(frozen=True, slots=True)
class Group:
    """A group of requests: its size, and by run the refused ones and those served in time."""

    name: str
    offered: int
    refused: tuple[int, ...]
    in_slo: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ReplayAgreement:
    """How well a replay reproduces the log: shares (0-1) of the counted requests."""

    counted: int
    same_first: float  # same decision on arrival: accepted, queued or refused
    same_end: float  # same final decision; in mode shadow the hypothetical one
    only_logged_refused: int
    only_replay_refused: int


@dataclass(frozen=True, slots=True)
class Changes:
    """Ids of requests whose decision differs between two runs."""

    let_in: tuple[str, ...]  # refused -> accepted
    kept_out: tuple[str, ...]  # accepted -> refused
    into_slo: int
    out_of_slo: int


def counted(entries: Sequence[LogEntry], warm_up: int) -> tuple[int, ...]:
    """Places of the compared requests: those after the warm-up with a known logged end."""
    later = enumerate(entries[warm_up:], start=warm_up)
    return tuple(place for place, entry in later if entry.fate.settled)


def tally(entries: Sequence[LogEntry], fates: Fates, places: Sequence[int]) -> ReplayTally:
    """The numbers of one run."""
    theirs = [fates[place] for place in places]
    reasons = Counter(fate.reason for fate in theirs if fate.refused and fate.reason)
    waited = [fate.waited_s for fate in theirs if fate.waited_s > 0]
    return ReplayTally(
        offered=len(theirs),
        refused=reasons.total(),
        reasons=dict(reasons.most_common()),
        waited=len(waited),
        in_slo=sum(entries[place].in_slo(fates[place]) for place in places),
        ttft_p50_s=_percentile([fate.ttft_s for fate in theirs], 0.5),
        ttft_p95_s=_percentile([fate.ttft_s for fate in theirs], 0.95),
        tpot_p95_s=_percentile([fate.tpot_s for fate in theirs], 0.95),
        waited_p95_s=_percentile(waited, 0.95),
        preemptions=sum(fate.preemptions for fate in theirs),
    )


def _percentile(values: Sequence[float | None], share: float) -> float | None:
    known = [value for value in values if value is not None]
    return percentile(known, share) if known else None


def groups(
    entries: Sequence[LogEntry],
    runs: Sequence[Fates],
    places: Sequence[int],
    name_of: Callable[[LogEntry], str],
) -> list[Group]:
    """Groups by `name_of`, the largest first."""
    members: dict[str, list[int]] = {}
    for place in places:
        members.setdefault(name_of(entries[place]), []).append(place)
    found = [
        Group(
            name,
            len(theirs),
            tuple(sum(fates[place].refused for place in theirs) for fates in runs),
            tuple(sum(entries[p].in_slo(fates[p]) for p in theirs) for fates in runs),
        )
        for name, theirs in members.items()
    ]
    return sorted(found, key=lambda group: -group.offered)


def tenant_of(entry: LogEntry) -> str:
    """Tenant and priority."""
    return f"{entry.asked.tenant}/{entry.asked.priority}"


def class_of(entry: LogEntry) -> str:
    """Its traffic class."""
    return entry.asked.traffic_class


def agreement(
    entries: Sequence[LogEntry], replayed: Fates, places: Sequence[int]
) -> ReplayAgreement:
    """The log compared with its replay under the settings in force."""
    pairs = [(entries[place].fate, replayed[place]) for place in places]
    ends = Counter((ours.reason is not None, theirs.reason is not None) for ours, theirs in pairs)
    count = max(1, len(pairs))
    return ReplayAgreement(
        counted=len(pairs),
        same_first=sum(ours.first is theirs.first for ours, theirs in pairs) / count,
        same_end=(ends[True, True] + ends[False, False]) / count,
        only_logged_refused=ends[True, False],
        only_replay_refused=ends[False, True],
    )


def changes(
    entries: Sequence[LogEntry], before: Fates, after: Fates, places: Sequence[int]
) -> Changes:
    """Requests with another decision."""
    let_in = [p for p in places if before[p].refused and not after[p].refused]
    kept_out = [p for p in places if after[p].refused and not before[p].refused]
    served = [(entries[p].in_slo(before[p]), entries[p].in_slo(after[p])) for p in places]
    return Changes(
        tuple(entries[place].asked.request_id for place in let_in),
        tuple(entries[place].asked.request_id for place in kept_out),
        into_slo=served.count((False, True)),
        out_of_slo=served.count((True, False)),
    )
