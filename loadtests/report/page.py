"""A report as one page in English and Chinese, the verdict first."""

from collections.abc import Iterator, Sequence

from loadtests.document.document import Chart, Document, Paragraphs, Section, Table
from loadtests.document.page import Edition, page
from loadtests.document.words import Language
from loadtests.judging.summary import summarize
from loadtests.report.charts import CHARTS
from loadtests.report.conditions import conditions, settings
from loadtests.report.findings import RunFindings
from loadtests.report.numbers import rate, seconds_text, share
from loadtests.report.stretch import Stretch
from loadtests.report.verdict import verdict
from loadtests.report.words import ReportWords

FIVE = ("answered", "held", "refused", "timed_out", "cancelled")
_MEASURES = ("ttft_s", "tpot_s", "itl_p95_s", "e2e_s", "queued_s")
_SHARES = ("p50", "p90", "p95", "p99")
_ROUND_COLUMNS = ("users", "phase", "slo")
_SLICE_COLUMNS = ("when", "in_flight")
_RATE_COLUMNS = ("offered_per_s", "answered_per_s", "tokens_per_s", "goodput_share")
_MORE_COLUMNS = ("success_share", "ttft_p95", "tpot_p95")
_COUNT_COLUMNS = ("held_column", "refused_column", "requests_column")


def report_page(found: RunFindings) -> str:
    """The HTML; the reader's browser says which language comes first."""
    editions = [_edition(found, ReportWords(language)) for language in Language]
    return page(editions, shown=Language.EN, ask_browser=True)


def _edition(found: RunFindings, words: ReportWords) -> Edition:
    return Edition(
        language=words.language,
        language_name=words("language"),
        title=title(found, words),
        told=Document([verdict(found, words)], list(_sections(found, words))),
        good=found.good,
        footer=words("footer"),
        tiles=_tiles(found, words),
    )


def title(found: RunFindings, words: ReportWords) -> str:
    """What was tested, in a line."""
    about = found.run.about
    return words(
        "title_search" if found.search else "title_run",
        model=about["endpoint"]["model"],
        scenario=about["scenario"],
        load=about["load"],
    )


def _sections(found: RunFindings, words: ReportWords) -> Iterator[Section]:
    yield Section("", [Paragraphs(_below_tiles(found, words), quiet=True)])
    for chart in CHARTS:
        if chart.drawn(found):
            svg = chart.draw(found, words).on_page(f"{chart.name}-{words.language}")
            told = list(_told(chart.name, found, words))
            caption, *formulas = [words("gap").join(part) for part in told]
            yield Section(
                words(f"title_{chart.name}"),
                [Chart(svg, caption), Paragraphs(formulas, quiet=True)],
            )
    if any(_percentiles(found).values()):
        yield _numbers(found, words)
    if found.stretches:
        table = _table(found, words)
        yield Section(words("title_rounds" if found.search else "title_slices"), [table])
    if found.reasons:
        ordered = sorted(found.reasons.items(), key=lambda item: -item[1])
        rows = [[_named(reason, found), f"{count:,}"] for reason, count in ordered]
        table = Table([words("reason"), words("count")], "lr", rows)
        yield Section(words("title_reasons"), [table])
    yield _pairs("title_conditions", conditions(found, words), words)
    if shown := settings(found):
        yield _pairs("title_settings", shown, words)


def _named(reason: str, found: RunFindings) -> str:
    """With the endpoint's own words, where it had other ones."""
    said = found.said.get(reason, reason)
    return reason if said == reason else f"{reason}: {said}"


def _tiles(found: RunFindings, words: ReportWords) -> list[tuple[str, str]]:
    """The five counts."""
    counts = dict(found.outcomes) | {"held": found.held}
    return [(f"{counts.get(name, 0):,}", words(name)) for name in FIVE]


def _below_tiles(found: RunFindings, words: ReportWords) -> list[str]:
    kind = "five_search" if found.search else "five_run"
    told = [words(kind, rounds=len(found.stretches))]
    if failed := found.outcomes.get("failed"):
        told.append(words("failed", failed=failed))
    if unfinished := found.run.client.get("unfinished"):
        told.append(words("unfinished", unfinished=unfinished))
    return told


def _told(name: str, found: RunFindings, words: ReportWords) -> Iterator[list[str]]:
    """What stands under a chart: its caption, then its formulas, each a list of sentences."""
    kind = "search" if found.search else "run"
    if name == "throughput":
        yield [words("throughput_caption" if found.search else "throughput_caption_run")]
        yield [words("throughput_formulas")]
        if found.search:
            yield [words("knee_formula"), *([] if found.knee else [words("knee_none")])]
        else:
            yield [words("in_flight_formula")]
    elif name == "latency":
        yield [words("latency_caption")]
        yield [words("latency_formulas")]
    elif name == "offered":
        yield [words("offered_caption")]
        yield [words(f"offered_{kind}")]
    else:
        yield [words("timeline_caption"), *([words("timeline_rounds")] if found.search else [])]
        yield [words("timeline_formulas" if found.run.samples else "timeline_unmetered")]


def _numbers(found: RunFindings, words: ReportWords) -> Section:
    of = _percentiles(found)
    rows = [
        [
            words(f"name_{name}"),
            *(seconds_text(of[name][p]) for p in _SHARES),
            words(f"formula_{name}"),
        ]
        for name in _MEASURES
        if of.get(name)
    ]
    told = words("numbers_run")
    if found.judged is not None:
        told = words("numbers_search", users=found.judged.users)
    head = [words("metric"), *_SHARES, words("formula")]
    return Section(words("title_numbers"), [Paragraphs([told]), Table(head, "lrrrrl", rows)])


def _percentiles(found: RunFindings) -> dict[str, dict[str, float]]:
    """Of the round that is judged, or of the whole run."""
    if found.judged is not None:
        return {name: dict(each) for name, each in found.judged.percentiles.items()}
    return summarize(found.run.records, found.slo, 1.0).percentiles


def _table(found: RunFindings, words: ReportWords) -> Table:
    """A row per round, or per slice; the judged one stands out."""
    first = _ROUND_COLUMNS if found.search else _SLICE_COLUMNS
    names = [*first, *_RATE_COLUMNS, *_MORE_COLUMNS, *_COUNT_COLUMNS]
    align = ("rll" if found.search else "rr") + "r" * (len(names) - len(first))
    rows = [_row(each, words) for each in found.stretches]
    if found.search:
        names, align = [*names, "binds"], align + "l"
    marked = {n: "" for n, each in enumerate(found.stretches) if each is found.judged}
    return Table([words(name) for name in names], align, rows, marked)


def _row(each: Stretch, words: ReportWords) -> list[str]:
    if each.phase is None:
        first = [f"{each.begin_s:,.0f}", f"{each.users:.3g}"]
    else:
        first = [f"{each.users:g}", words(f"phase_{each.phase}"), words(f"seen_{each.seen}")]
    success = each.success_ratio
    row = [
        *first,
        rate(each.offered_per_s),
        rate(each.answered_per_s),
        rate(each.tokens_per_s),
        share(each.goodput_ratio),
        "-" if success is None else share(success),
        _p95(each, "ttft_s"),
        _p95(each, "tpot_s"),
        f"{each.held:,}",
        f"{each.outcomes.get('refused', 0):,}",
        f"{each.offered:,}",
    ]
    return row if each.phase is None else [*row, words.limit(each.binds)]


def _p95(each: Stretch, name: str) -> str:
    of = each.percentiles.get(name)
    return seconds_text(of["p95"]) if of else "-"


def _pairs(name: str, rows: Sequence[tuple[str, str]], words: ReportWords) -> Section:
    table = Table([words("condition"), words("value")], "ll", [list(row) for row in rows])
    return Section(words(name), [table])
