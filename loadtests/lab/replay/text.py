"""A report on a log for a terminal of 80 columns."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from textwrap import fill

from loadtests.lab.replay.report import Report
from loadtests.lab.replay.summary import Changes, Group, ReplayAgreement, ReplayTally

_IDS = 5  # named of those whose answer changes
_ID_CHARS = 36  # of each: a UUID
_GROUPS = 8  # rows of a table of tenants or classes
_NAME, _COLUMN = 24, 13
_WIDTH = 80


def text(report: Report) -> str:
    """What the log holds, then what the replays made of it."""
    parts = [_head(report), _table(report)]
    if report.agreement is not None:
        parts.append(_agreement(report.agreement))
    if report.changes is not None:
        parts.append(_changes(report.changes))
    parts += [_groups("tenant/priority", report, report.tenants)]
    parts += [_groups("traffic class", report, _changed(report.classes))]
    parts.append(_shadow(report))
    return "\n".join(part for part in parts if part)


def _head(report: Report) -> str:
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
    return "\n".join(map(_wrapped, told)) + "\n"


def _wrapped(line: str) -> str:
    return fill(line, _WIDTH, subsequent_indent="  ")


def _day(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _table(report: Report) -> str:
    reasons = dict.fromkeys(reason for each in report.tallies for reason in each.reasons)
    rows: list[tuple[str, Callable[[ReplayTally], str]]] = [
        ("offered", lambda told: f"{told.offered}"),
        ("refused", lambda told: f"{told.refused}"),
        *((f"  {reason}", _count_of(reason)) for reason in reasons),
        ("in time, of all", lambda told: _percent(told.in_slo, told.offered)),
        ("TTFT p50 s", lambda told: _seconds(told.ttft_p50_s)),
        ("TTFT p95 s", lambda told: _seconds(told.ttft_p95_s)),
        ("TPOT p95 ms", lambda told: _milliseconds(told.tpot_p95_s)),
        ("waited in queue", lambda told: f"{told.waited}"),
        ("  p95 s", lambda told: _seconds(told.waited_p95_s)),
        ("preemptions", lambda told: f"{told.preemptions}"),
    ]
    lines = [_line("", [run.name for run in report.runs])]
    lines += [_line(name, [told(each) for each in report.tallies]) for name, told in rows]
    return "\n".join(lines) + "\n"


def _count_of(reason: str) -> Callable[[ReplayTally], str]:
    return lambda told: str(told.reasons.get(reason, 0))


def _line(name: str, values: Sequence[str]) -> str:
    return f"{name:<{_NAME}}" + "".join(f"{value:>{_COLUMN}}" for value in values)


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _milliseconds(value: float | None) -> str:
    return "-" if value is None else f"{1000 * value:.0f}"


def _agreement(told: ReplayAgreement) -> str:
    return (
        _wrapped(
            f"The replay under the settings in force lets in or refuses {100 * told.same_end:.1f} "
            f"% of {told.counted} as logged ({told.only_logged_refused} only the log refused, "
            f"{told.only_replay_refused} only the replay); {100 * told.same_first:.1f} % heard "
            "the same on arrival: accepted, queued or refused."
        )
        + "\n"
    )


def _changes(told: Changes) -> str:
    count = len(told.let_in) + len(told.kept_out)
    return (
        f"Under the new settings {_many(count, 'request')} would be answered otherwise:\n"
        + _wrapped(f"  refused -> accepted: {len(told.let_in)}{_ids(told.let_in)}")
        + "\n"
        + _wrapped(f"  accepted -> refused: {len(told.kept_out)}{_ids(told.kept_out)}")
        + f"\n  served in time only with the new: {told.into_slo}, only with the old: "
        f"{told.out_of_slo}\n"
    )


def _ids(ids: Sequence[str]) -> str:
    shown = ", ".join(each[:_ID_CHARS] for each in ids[:_IDS])
    more = ", ..." if len(ids) > _IDS else ""
    return f" ({shown}{more})" if ids else ""


def _changed(classes: Sequence[Group]) -> list[Group]:
    """Those that fare unlike under the old and the new settings; all where there are no new."""
    return [
        group
        for group in classes
        if len(group.refused) <= 2  # noqa: PLR2004 - the log and one replay
        or group.refused[1] != group.refused[2]
        or group.in_slo[1] != group.in_slo[2]
    ]


def _groups(what: str, report: Report, told: Sequence[Group]) -> str:
    """Offered, and for each run refused and in time."""
    if not told or len(report.tenants) + len(report.classes) <= 2:  # noqa: PLR2004 - all in one
        return ""
    heads = [f"{run.name}" for run in report.runs]
    lines = [_line(f"{what}", ["offered", *heads]), _line("", ["", *["ref. in time"] * len(heads)])]
    for group in told[:_GROUPS]:
        pairs = zip(group.refused, group.in_slo, strict=True)
        cells = [f"{refused} {_share(good, group.offered):>7}" for refused, good in pairs]
        lines.append(_line(group.name[: _NAME - 1], [str(group.offered), *cells]))
    if len(told) > _GROUPS:
        lines.append(f"... and {len(told) - _GROUPS} more (--json)")
    return "\n".join(lines) + "\n"


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %"


def _shadow(report: Report) -> str:
    return "\n".join(_shadow_lines(report))


def _shadow_lines(report: Report) -> Iterator[str]:
    seen = report.shadow
    if seen is None:
        return
    total = seen.total
    reasons = ", ".join(f"{name} {count}" for name, count in seen.reasons.most_common())
    yield f"What shadow mode saw: {_many(total.requests, 'request')} that ended"
    yield f"  would have been refused: {total.would_refuse}" + (f" ({reasons})" if reasons else "")
    yield f"  would have waited:       {total.would_queue}"
    yield f"  false refusals:          {total.false_refusals} (would be refused, served in time)"
    yield f"  missed refusals:         {total.missed_refusals} (would be accepted, not in time)"
    if total.unjudged:
        yield f"  not judged:              {total.unjudged} (client left, or failed)"
    ranked = sorted(
        seen.classes.items(), key=lambda item: -(item[1].false_refusals + item[1].missed_refusals)
    )
    apart = [(name, each) for name, each in ranked if each.false_refusals or each.missed_refusals]
    if apart:
        yield _line("disagreement by class", ["ended", "refused", "false", "missed"])
    for name, each in apart[:_GROUPS]:
        counts = (each.requests, each.would_refuse, each.false_refusals, each.missed_refusals)
        yield _line(name[: _NAME - 1], [str(count) for count in counts])
    yield ""
