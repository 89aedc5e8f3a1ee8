"""The four charts of a report."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from loadtests.document.ink import Drawing
from loadtests.document.panels import QUIETLY, Area, Level, Mark, Panel, PanelLine, Points, panels
from loadtests.record import Sample
from loadtests.report import timeline as over_time
from loadtests.report.findings import RunFindings, by_users
from loadtests.report.numbers import seconds_text
from loadtests.report.stretch import Stretch
from loadtests.report.words import ReportWords

_PERCENTILES = (("p50", (0, "-")), ("p95", (4, "-")), ("p99", (1, "--")))  # colour and style
_MS = 1000
_MEASURES = (("ttft", "ttft_s", 1), ("tpot", "tpot_s", _MS))  # name, field, unit in a second
_DECIDED = (("accepted", 2), ("rejected", 4), ("abandoned", 3))  # outcome, colour
Of = Callable[[Sample], float | None]


@dataclass(frozen=True, slots=True)
class ReportChart:
    """`name` is its file's, and of its words: `title_{name}`, `{name}_caption`."""

    name: str
    draw: Callable[[RunFindings, ReportWords], Drawing]
    drawn: Callable[[RunFindings], bool]  # whether there is anything to draw


def throughput(found: RunFindings, words: ReportWords) -> Drawing:
    """Answers, goodput and tokens per second over concurrency."""
    answers = Panel(
        words("axis_per_s"),
        [
            _over_users(found, words("answers"), lambda each: each.answered_per_s, 0),
            _over_users(found, words("goodput"), lambda each: each.goodput_per_s, 2),
        ],
    )
    tokens = Panel(
        words("axis_tokens"),
        [_over_users(found, words("tokens_out"), lambda each: each.tokens_per_s, 5)],
    )
    return panels([answers, tokens], x_axis=_users_axis(found, words), marks=_marks(found, words))


def latency(found: RunFindings, words: ReportWords) -> Drawing:
    """TTFT and TPOT over concurrency, each with what was promised."""
    shown = [
        Panel(
            words(f"axis_{name}"),
            [
                _over_users(found, p, partial(_percentile, field=field, p=p, unit=unit), *look)
                for p, look in _PERCENTILES
            ],
            _promised(found, name, unit, words),
            by_factors=True,
        )
        for name, field, unit in _MEASURES
    ]
    return panels(shown, x_axis=_users_axis(found, words), marks=_marks(found, words))


def offered(found: RunFindings, words: ReportWords) -> Drawing:
    """Goodput over what was asked for; on the diagonal everything asked for was good."""
    points = sorted((each.offered_per_s, each.goodput_per_s) for each in _valid(found))
    most = max(x for x, _ in points) * 1.05 or 1.0
    lines = [
        PanelLine(words("all_good"), [(0, 0), (most, most)], 5, "--"),
        PanelLine(words("goodput"), points, 2, dots=True, joined=False),
    ]
    return panels(
        [Panel(words("axis_goodput"), lines)], x_axis=words("axis_offered"), xs=(0, most), inches=3
    )


def timeline(found: RunFindings, words: ReportWords) -> Drawing:
    """The run from its beginning to its end: latencies above, what the endpoint did below."""
    until_s = over_time.end_s(found.run.records, found.run.samples)
    shown = [*_latencies(found, until_s, words), *_levels(found.run.samples, until_s, words)]
    starts = [
        Mark(f"{each.users:g}", each.begin_s - each.warm_up_s, style=QUIETLY)
        for each in found.stretches
        if each.phase is not None
    ]
    return panels(shown, x_axis=words("axis_time"), xs=(0, until_s), marks=starts, inches=1.45)


CHARTS = (
    ReportChart("throughput", throughput, lambda found: bool(found.stretches)),
    ReportChart("latency", latency, lambda found: bool(found.stretches)),
    ReportChart("timeline", timeline, lambda found: bool(found.run.records or found.run.samples)),
    ReportChart("offered", offered, lambda found: bool(_valid(found))),
)


def _valid(found: RunFindings) -> list[Stretch]:
    return [each for each in found.stretches if each.seen != "invalid"]


def _over_users(
    found: RunFindings,
    name: str,
    of: Callable[[Stretch], float | None],
    colour: int,
    style: str = "-",
) -> PanelLine:
    """The mean of rounds with as many users; slices of a run, each alone, are not joined."""
    points = []
    for users, group in by_users(found.stretches):
        known = [value for each in group if (value := of(each)) is not None]
        if known:
            points.append((users, sum(known) / len(known)))
    return PanelLine(name, points, colour, style, dots=True, joined=bool(found.search))


def _percentile(each: Stretch, *, field: str, p: str, unit: float) -> float | None:
    value = each.percentiles.get(field, {}).get(p)
    return None if value is None else value * unit


def _promised(found: RunFindings, name: str, unit: float, words: ReportWords) -> list[Level]:
    bound_s = getattr(found.slo, f"{name}_s")
    share = getattr(found.slo, f"{name}_share")
    if bound_s == float("inf"):
        return []
    told = words("promised", percentile=f"p{share * 100:g}", bound=seconds_text(bound_s))
    return [Level(told, bound_s * unit)]


def _users_axis(found: RunFindings, words: ReportWords) -> str:
    return words("axis_users" if found.search else "axis_in_flight")


def _marks(found: RunFindings, words: ReportWords) -> list[Mark]:
    marks = []
    if found.knee is not None:
        marks.append(Mark(words("knee", users=found.knee), found.knee, style="--"))
    if found.users is not None:
        low, high = found.search["interval_95"] or (found.users, found.users)
        marks.append(Mark(words("limit", users=found.users), found.users, low, high))
    return marks


def _latencies(found: RunFindings, until_s: float, words: ReportWords) -> list[Panel]:
    records, shown = found.run.records, []
    for name, field, unit in _MEASURES if records else ():
        lines = [
            PanelLine(
                words("each"),
                _times(over_time.dots(records, field), unit),
                5,
                joined=False,
                faint=True,
            ),
            *(
                PanelLine(
                    p, _times(over_time.percentiles(records, field, share, until_s), unit), colour
                )
                for p, share, colour in (("p50", 0.5, 0), ("p95", 0.95, 4))
            ),
        ]
        levels = _promised(found, name, unit, words)
        shown.append(Panel(words(f"axis_{name}"), lines, levels, by_factors=True))
    return shown


def _levels(samples: Sequence[Sample], until_s: float, words: ReportWords) -> list[Panel]:
    """Only of metrics that the endpoint has."""
    kv = _lines(samples, until_s, words, _KV)
    requests = _lines(samples, until_s, words, _REQUESTS)
    decided = [
        Area(words(outcome), over_time.per_second(samples, outcome, until_s), colour)
        for outcome, colour in _DECIDED
        if any(each.decisions for each in samples)
    ]
    queued = PanelLine(words("queued"), over_time.per_second(samples, "queued", until_s), 1)
    shown = []
    if kv:
        shown.append(Panel(words("axis_kv"), kv, [Level(words("capacity"), 100)]))
    if requests:
        shown.append(Panel(words("axis_requests"), requests, most=1))
    if any(area.points for area in decided):
        shown.append(Panel(words("axis_decisions"), [queued], areas=decided))
    return shown


def _lines(
    samples: Sequence[Sample],
    until_s: float,
    words: ReportWords,
    kinds: Sequence[tuple[str, Of, int, str]],
) -> list[PanelLine]:
    lines = [
        PanelLine(words(name), over_time.highest(samples, of, until_s), colour, style)
        for name, of, colour, style in kinds
    ]
    return [line for line in lines if line.points]


def _percent(part: float | None, sample: Sample) -> float | None:
    """Of the KV cache that requests can hold."""
    if part is None or not sample.kv_capacity_tokens:
        return None
    return 100 * part / sample.kv_capacity_tokens


_KV: tuple[tuple[str, Of, int, str], ...] = (
    ("kv_peak", lambda each: _percent(each.kv_peak_tokens, each), 4, "--"),
    ("kv_held", lambda each: _percent(each.kv_held_tokens, each), 0, "-"),
    (
        "kv_used",
        lambda each: None if each.kv_used_ratio is None else 100 * each.kv_used_ratio,
        2,
        ":",
    ),
)
_REQUESTS: tuple[tuple[str, Of, int, str], ...] = (
    ("running", lambda each: each.running, 0, "-"),
    ("in_line", lambda each: each.queued, 1, "-"),
    ("engine_waiting", lambda each: each.waiting, 4, "--"),
)


def _times(points: Points, unit: float) -> list[tuple[float, float]]:
    return [(x, y * unit) for x, y in points]
