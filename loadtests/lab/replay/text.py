"""A report on a log as text for the terminal."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

from loadtests.document.document import Block, Document, Paragraphs, Section, Table
from loadtests.document.terminal import as_text
from loadtests.lab.replay.report import Report
from loadtests.lab.replay.summary import Changes, Group, ReplayAgreement, ReplayTally

_IDS = 5  # shown ids of requests whose decision changes
_ID_CHARS = 36  # characters of an id: a UUID
_GROUPS = 8  # rows of a table of tenants or classes


def text(report: Report) -> str:
    """The contents of the log, then the results of the replays."""
    sections = [Section("", [_runs(report)])]
    if report.agreement is not None:
        sections.append(Section("", [Paragraphs([_agreement(report.agreement)])]))
    if report.changes is not None:
        sections.append(_changes(report.changes))
    sections.append(Section("", _groups("tenant/priority", report, report.tenants)))
    sections.append(Section("", _groups("traffic class", report, _changed(report.classes))))
    return as_text(Document(_lead(report), [*sections, *_shadow(report)])) + "\n"


def _lead(report: Report) -> list[str]:
    log, lengths = report.log, report.lengths
    first, last = (_day(log.entries[place].asked.day_s) for place in (0, -1))
    told = [
        f"{log.name}: {_many(len(log.entries), 'request')}, {first} to {last} UTC, "
        f"{_many(len(log.replicas), 'engine start')}",
        f"counted: {len(report.places)}, those after {report.warm_up} whose end is known",
    ]
    if report.replays:
        drawn = lengths.drawn_refused + lengths.drawn_unended
        told += [
            f"lengths of answers: {drawn} drawn from finished ones of their class, seed "
            f"{report.seed} ({lengths.drawn_refused} had been refused, {lengths.drawn_unended} had "
            f"not ended), {lengths.cut_by_clients} as long as when their client left",
        ]
    return told


def _day(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _runs(report: Report) -> Table:
    reasons = dict.fromkeys(reason for each in report.tallies for reason in each.reasons)
    rows: list[tuple[str, Callable[[ReplayTally], str]]] = [
        ("offered", lambda told: f"{told.offered}"),
        ("refused", lambda told: f"{told.refused}"),
        *((f"refused: {reason}", _count_of(reason)) for reason in reasons),
        ("in time, of all", lambda told: _percent(told.in_slo, told.offered)),
        ("TTFT p50 s", lambda told: _seconds(told.ttft_p50_s)),
        ("TTFT p95 s", lambda told: _seconds(told.ttft_p95_s)),
        ("TPOT p95 ms", lambda told: _milliseconds(told.tpot_p95_s)),
        ("waited in queue", lambda told: f"{told.waited}"),
        ("waited p95 s", lambda told: _seconds(told.waited_p95_s)),
        ("preemptions", lambda told: f"{told.preemptions}"),
    ]
    head = ["", *(run.name for run in report.runs)]
    cells = [[name, *(told(each) for each in report.tallies)] for name, told in rows]
    return Table(head, "l" + "r" * len(report.runs), cells)


def _count_of(reason: str) -> Callable[[ReplayTally], str]:
    return lambda told: str(told.reasons.get(reason, 0))


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _milliseconds(value: float | None) -> str:
    return "-" if value is None else f"{1000 * value:.0f}"


def _agreement(told: ReplayAgreement) -> str:
    return (
        f"The replay under the settings in force lets in or refuses {100 * told.same_end:.1f} "
        f"% of {told.counted} as logged ({told.only_logged_refused} only the log refused, "
        f"{told.only_replay_refused} only the replay); {100 * told.same_first:.1f} % heard "
        "the same on arrival: accepted, queued or refused."
    )


def _changes(told: Changes) -> Section:
    rows = [
        ["refused -> accepted", f"{len(told.let_in)}{_ids(told.let_in)}"],
        ["accepted -> refused", f"{len(told.kept_out)}{_ids(told.kept_out)}"],
        ["served in time only with the new", f"{told.into_slo}"],
        ["served in time only with the old", f"{told.out_of_slo}"],
    ]
    many = _many(len(told.let_in) + len(told.kept_out), "request")
    note = f" {many} would be answered otherwise"
    return Section("Under the new settings", [Table((), "ll", rows)], note)


def _ids(ids: Sequence[str]) -> str:
    shown = ", ".join(each[:_ID_CHARS] for each in ids[:_IDS])
    more = ", ..." if len(ids) > _IDS else ""
    return f" ({shown}{more})" if ids else ""


def _changed(classes: Sequence[Group]) -> list[Group]:
    """Groups whose results differ under the new settings; all groups without new settings."""
    return [
        group
        for group in classes
        if len(group.refused) <= 2  # noqa: PLR2004 - the log and one replay
        or group.refused[1] != group.refused[2]
        or group.in_slo[1] != group.in_slo[2]
    ]


def _groups(what: str, report: Report, told: Sequence[Group]) -> list[Block]:
    """A table of offered requests and, per run, refused ones and those in time."""
    if not told or len(report.tenants) + len(report.classes) <= 2:  # noqa: PLR2004 - all in one
        return []
    rows = []
    for group in told[:_GROUPS]:
        pairs = zip(group.refused, group.in_slo, strict=True)
        cells = [f"{refused}, {_share(good, group.offered)}" for refused, good in pairs]
        rows.append([group.name, str(group.offered), *cells])
    head = [what, "offered", *(f"{run.name} ref., in time" for run in report.runs)]
    more = len(told) - _GROUPS
    left_out = [f"... and {more} more (--json)"] if more > 0 else []
    return [Table(head, "lr" + "r" * len(report.runs), rows), Paragraphs(left_out)]


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %"


def _shadow(report: Report) -> Iterator[Section]:
    seen = report.shadow
    if seen is None:
        return
    total = seen.total
    reasons = ", ".join(f"{name} {count}" for name, count in seen.reasons.most_common())
    rows = [
        ["would have been refused", f"{total.would_refuse}" + (f" ({reasons})" if reasons else "")],
        ["would have waited", f"{total.would_queue}"],
        ["false refusals", f"{total.false_refusals} (would be refused, served in time)"],
        ["missed refusals", f"{total.missed_refusals} (would be accepted, not in time)"],
    ]
    if total.unjudged:
        rows.append(["not judged", f"{total.unjudged} (client left, or failed)"])
    note = f": {_many(total.requests, 'request')} that ended"
    yield Section("What shadow mode saw", [Table((), "ll", rows)], note)
    ranked = sorted(
        seen.classes.items(), key=lambda item: -(item[1].false_refusals + item[1].missed_refusals)
    )
    apart = [
        [name, *map(str, (each.requests, each.would_refuse, *wrong))]
        for name, each in ranked
        if any(wrong := (each.false_refusals, each.missed_refusals))
    ]
    if apart:
        head = ["disagreement by class", "ended", "refused", "false", "missed"]
        yield Section("", [Table(head, "lrrrr", apart[:_GROUPS])])
