"""A plan as a page in English and Chinese, and its charts as files."""

from pathlib import Path

from admission.planning.memory.estimate import Estimate
from admission.planning.plan import LIMITS
from loadtests.document.page import Bullets, Chart, Edition, Paragraphs, Section, Table, page
from loadtests.document.words import Language
from loadtests.plan.findings import Findings
from loadtests.plan.shown.charts import CHARTS
from loadtests.plan.shown.lead import lead, misfit
from loadtests.plan.shown.numbers import error, rate, whole
from loadtests.plan.shown.told import (
    advised,
    asked,
    layout_sentence,
    other_link,
    people_line,
    remarks,
    rule_number,
    rule_summary,
    settings,
    sustained_line,
    users,
    warnings,
)
from loadtests.plan.shown.words import PlanWords

_LAYOUT = ("layout", "weights", "step", "kv_tokens", "at_once", "users", "per_s", "binds")


def plan_page(found: Findings, model: str, shown: Language) -> str:
    """The HTML, `shown` first; `model` is what the title calls it."""
    editions = [_edition(found, model, PlanWords(language)) for language in Language]
    return page(editions, shown=shown)


def write_charts(found: Findings, words: PlanWords, folder: Path) -> list[Path]:
    """The charts as SVG files in one language; the folder is made where it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for chart in CHARTS:
        file = folder / f"{chart.name}.svg"
        title = words(f"title_{chart.name}")
        file.write_text(chart.draw(found, words).in_file(chart.name, title), encoding="utf-8")
        written.append(file)
    return written


def _edition(found: Findings, model: str, words: PlanWords) -> Edition:
    question = found.shown.plan.question
    charts = {chart.name: _chart(found, chart.name, words) for chart in CHARTS}
    first, *rest = [*filter(None, [misfit(found, words)]), *lead(found, words)]
    told = [*asked(found.shown.plan, words), *warnings(found.shown.plan, words)]
    fits = not found.shown.plan.misfit  # of what does not fit its memory alone is told
    sections = [
        Section("", [Paragraphs(rest)]),
        *_advice(found, words),
        Section(words("title_asked"), [Paragraphs(told)]),
        *([_limits(found, charts["limits"], words)] if fits else []),
        *([_context(found, charts["context"], words)] if fits else []),
        _memory(found, charts["memory"], words),
        _layouts(found, words),
        *([_rule(found, words), _idle(found, words)] if fits else []),
    ]
    return Edition(
        language=words.language,
        language_name=words("language"),
        title=words("title", model=model, gpus=question.gpus, gpu=question.gpu.name),
        verdict=first,
        good=not found.shown.plan.misfit and found.shown.plan.load.sustained.expected > 0,
        sections=sections,
        footer=words("footer"),
    )


def _chart(found: Findings, name: str, words: PlanWords) -> Chart:
    draw = next(chart.draw for chart in CHARTS if chart.name == name)
    svg = draw(found, words).on_page(f"{name}-{words.language}")
    caption = words(f"{name}_caption")
    if name == "context" and found.shown.plan.other_link is not None:
        caption += words("gap") + words("switched_caption")
    return Chart(svg, caption)


def _limits(found: Findings, chart: Chart, words: PlanWords) -> Section:
    load = found.shown.plan.load
    rows = [
        [
            words.limit(name),
            whole(load.limits[name].concurrency),
            rate(load.limits[name].rate_per_s),
            words.say(load.limits[name].note),
        ]
        for name in LIMITS
    ]
    head = [words("limit"), words("at_once"), words("per_s"), words("note")]
    marked = frozenset({LIMITS.index(load.binding)})
    served = people_line(load, found.think_s, words)
    told = [sustained_line(load, words), *served, *other_link(found.shown.plan, words)]
    if not (load.sustained.expected or found.shown.plan.misfit):
        told.insert(1, words("no_request"))
    table = Table(head, "lrrl", rows, marked)
    return Section(words("title_limits"), [chart, table, Paragraphs(told)])


def _context(found: Findings, chart: Chart, words: PlanWords) -> Section:
    rows = [
        [
            f"{tokens:,}",
            words("range", low=f"{load.kv.low:.0f}", high=f"{load.kv.high:.0f}"),
            *(whole(load.limits[name].concurrency) for name in LIMITS[1:]),
            whole(load.sustained.expected),
            words.limit(load.binding),
        ]
        for tokens, load in found.shown.contexts
    ]
    head = [words("context_tokens"), *map(words.limit, LIMITS), words("sustained"), words("binds")]
    return Section(words("title_context"), [chart, Table(head, "rrrrrrl", rows)])


def _memory(found: Findings, chart: Chart, words: PlanWords) -> Section:
    memory = found.shown.plan.memory
    rows = [
        [
            words("bytes_per_token"),
            words("bytes_each", all=memory.bytes_per_token, each=memory.bytes_per_token_per_gpu),
        ],
        [words("tokens"), _ranged(memory.capacity_tokens, words)],
        [
            words("blocks"),
            words("blocks_of", blocks=memory.expected.blocks, size=memory.expected.block_tokens),
        ],
        [
            words("at_max_model_len"),
            words("requests_range", **_points(memory.max_concurrency)),
        ],
    ]
    table = Table([words("title_capacity"), ""], "ll", rows)
    return Section(words("title_memory"), [chart, table])


def _ranged(value: Estimate, words: PlanWords) -> str:
    points = {name: f"{point:,.0f}" for name, point in _points(value).items()}
    return words("ranged", **points)


def _points(value: Estimate) -> dict[str, float]:
    return {"low": value.low, "expected": value.expected, "high": value.high}


def _layouts(found: Findings, words: PlanWords) -> Section:
    rows, marked = [], set()
    for index, layout in enumerate(found.layouts):
        row = [layout.name, layout.weights]
        if layout is found.chosen:
            marked.add(index)
        if layout is found.named:
            row[0] += words("as_asked")
        if layout.plan is None or layout.misfit:
            rows.append([*row, "", "", "", "", "", words.say(layout.misfit)])
            continue
        load, memory = layout.plan.load, layout.plan.memory
        tokens = memory.capacity_tokens.expected * layout.replicas
        numbers = [
            f"{memory.engine.max_batched_tokens:,}",
            f"{tokens:,.0f}",
            whole(load.sustained.expected),
            users(load, found.think_s),
            rate(load.rate_per_s),
        ]
        rows.append([*row, *numbers, words.limit(load.binding)])
    head = [words(name) for name in _LAYOUT]
    table = Table(head, "llrrrrrl", rows, frozenset(marked))
    return Section(words("title_layouts"), [Paragraphs([layout_sentence(found, words)]), table])


def _rule(found: Findings, words: PlanWords) -> Section:
    rows = [
        [
            f"{words.say(line.what)} {line.unit}".strip(),
            f"{line.rule:.0f}",
            rule_number(line),
            error(line.error_ratio),
            words.say(line.why),
        ]
        for line in found.shown.rule
    ]
    head = [words(name) for name in ("line", "rule", "model", "error", "why")]
    told = Paragraphs([rule_summary(found, words)])
    return Section(words("title_rule"), [told, Table(head, "lrrrl", rows)])


def _advice(found: Findings, words: PlanWords) -> list[Section]:
    """Settings of the best layout; nothing where nothing fits."""
    if found.advice is None:
        return []
    rows = [[name, value] for name, value in settings(found.advice)]
    table = Table([words("setting"), words("value")], "lr", rows)
    told = Paragraphs([advised(found, words)])
    said = [words.say(remark) for remark in remarks(found.advice)]
    return [Section(words("title_advice"), [told, table, *([Bullets(said)] if said else [])])]


def _idle(found: Findings, words: PlanWords) -> Section:
    told = [words.say(idle.why) for idle in found.shown.idle] or [words("idle_none")]
    return Section(words("title_idle") + words("unit_idle"), [Bullets(told)])
