"""A plan as a document, which the terminal and the page both render."""

from collections.abc import Mapping

from admission.planning.layouts import Layout
from admission.planning.memory.estimate import Estimate
from admission.planning.plan import LIMITS, Plan
from loadtests.document.document import (
    Bullets,
    Chart,
    Document,
    Paragraphs,
    Section,
    Strip,
    Table,
)
from loadtests.plan.findings import Findings
from loadtests.plan.shown.lead import lead
from loadtests.plan.shown.numbers import error, gib, gib_ends, rate, sign, whole
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

_LETTERS = {"weights": "W", "activation": "a", "graphs": "g", "non_torch": "n", "kv": "K"}
_LIMIT = ("limit", "at_once", "per_s", "note")
_LAYOUT = ("layout", "weights", "step", "kv_tokens", "at_once", "users", "per_s", "binds")
_RULE = ("line", "rule", "model", "error", "why")


def brief(found: Findings, words: PlanWords) -> Document:
    """The answer in about eight lines, with warnings."""
    lines = [*lead(found, words), *warnings(found.shown.plan, words)]
    return Document([*lines, words("hint")] if lines else [], [])


def document(found: Findings, words: PlanWords, svgs: Mapping[str, str] | None = None) -> Document:
    """All sections, or only memory if nothing fits. `svgs` holds the charts by name."""
    plan, svgs = found.shown.plan, svgs or {}
    sections = [*_advice(found, words), _asked(plan, words), _memory(plan, words, svgs)]
    if not plan.misfit:
        sections += [_capacity(plan, words), _limits(found, words, svgs)]
        sections.append(_contexts(found, words, svgs))
    sections.append(_layouts(found, words))
    if not plan.misfit:
        sections += [_rule(found, words), _idle(found, words)]
    return Document(lead(found, words), sections)


def _advice(found: Findings, words: PlanWords) -> list[Section]:
    """Settings of the best layout; [] if nothing fits."""
    if found.advice is None:
        return []
    told = Bullets([words.say(remark) for remark in remarks(found.advice)])
    table = Table((), "ll", settings(found.advice))
    return [Section(words("title_advice"), [Paragraphs([advised(found, words)]), table, told])]


def _asked(plan: Plan, words: PlanWords) -> Section:
    told = [*asked(plan, words), *warnings(plan, words)]
    return Section(words("title_asked"), [Paragraphs(told)])


def _memory(plan: Plan, words: PlanWords, svgs: Mapping[str, str]) -> Section:
    """One GPU, part by part."""
    budget = plan.memory.budget
    parts = list(budget.parts())
    letters = [_LETTERS.get(name, ".") for name, _ in parts]
    strip = Strip(
        [(letter, part.expected) for letter, (_, part) in zip(letters, parts, strict=True)]
    )
    rows = [_part(name, part, words) for name, part in [*parts, ("card", budget.total)]]
    table = Table((), "llrl", rows, marked=dict(enumerate(letters)))
    chart = Chart(svgs.get("memory", ""), words("memory_caption"), plain=[strip, table])
    return Section(words("title_memory"), [chart], words("unit_memory"))


def _part(name: str, part: Estimate, words: PlanWords) -> list[str]:
    low, high = gib_ends(part)
    ends = "" if part.exact else words("range", low=low, high=high)
    return [words(f"part_{name}"), sign(part), gib(part), ends]


def _capacity(plan: Plan, words: PlanWords) -> Section:
    memory = plan.memory
    blocks, each = memory.expected, memory.bytes_per_token_per_gpu
    tokens = {name: f"{x:,.0f}" for name, x in _points(memory.capacity_tokens).items()}
    rows = [
        ("bytes_per_token", "=", words("bytes_each", all=memory.bytes_per_token, each=each)),
        ("tokens", "~", words("ranged", **tokens)),
        ("blocks", "~", words("blocks_of", blocks=blocks.blocks, size=blocks.block_tokens)),
        ("at_max_model_len", "~", words("requests_range", **_points(memory.max_concurrency))),
    ]
    table = Table((), "ll", [[words(name), f"{how} {told}"] for name, how, told in rows])
    return Section(words("title_capacity"), [table])


def _points(value: Estimate) -> dict[str, float]:
    return {"low": value.low, "expected": value.expected, "high": value.high}


def _limits(found: Findings, words: PlanWords, svgs: Mapping[str, str]) -> Section:
    """The limits, and the load on the other link if the card's own has not been measured."""
    plan = found.shown.plan
    load = plan.load
    rows = [
        [
            words.limit(name),
            whole(load.limits[name].concurrency),
            rate(load.limits[name].rate_per_s),
            words.say(load.limits[name].note),
        ]
        for name in LIMITS
    ]
    table = Table([*map(words, _LIMIT)], "lrrl", rows, {LIMITS.index(load.binding): "<"})
    told = [sustained_line(load, words), *people_line(load, found.think_s, words)]
    if load.sustained.expected == 0:
        told.append(words("no_request"))
    told += other_link(plan, words)
    chart = Chart(svgs.get("limits", ""), words("limits_caption"))
    return Section(words("title_limits"), [chart, table, Paragraphs(told)], words("unit_limits"))


def _contexts(found: Findings, words: PlanWords, svgs: Mapping[str, str]) -> Section:
    """Concurrency over the length of a request."""
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
    caption = words("context_caption")
    if found.shown.plan.other_link is not None:
        caption += words("gap") + words("switched_caption")
    chart = Chart(svgs.get("context", ""), caption)
    table = Table(head, "rrrrrrl", rows)
    return Section(words("title_context"), [chart, table], words("unit_context"))


def _layouts(found: Findings, words: PlanWords) -> Section:
    rows = [_layout(layout, found, words) for layout in found.layouts]
    signs = {
        place: "*" if layout is found.chosen else ">"
        for place, layout in enumerate(found.layouts)
        if layout is found.chosen or layout is found.named
    }
    table = Table([*map(words, _LAYOUT)], "llrrrrrl", rows, signs)
    told = Paragraphs([layout_sentence(found, words)])
    return Section(
        words("title_layouts"), [table, told], words("unit_layouts", think=found.think_s)
    )


def _layout(layout: Layout, found: Findings, words: PlanWords) -> list[str]:
    row = [layout.name, layout.weights]
    if layout.plan is None or layout.misfit:
        return [*row, words("misfit", why=layout.misfit)]
    load, memory = layout.plan.load, layout.plan.memory
    return [
        *row,
        f"{memory.engine.max_batched_tokens:,}",
        f"{memory.capacity_tokens.expected * layout.replicas:,.0f}",
        whole(load.sustained.expected),
        users(load, found.think_s),
        rate(load.rate_per_s),
        words.limit(load.binding),
    ]


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
    table = Table([*map(words, _RULE)], "lrrrl", rows)
    return Section(words("title_rule"), [table, Paragraphs([rule_summary(found, words)])])


def _idle(found: Findings, words: PlanWords) -> Section:
    told = [words.say(idle.why) for idle in found.shown.idle] or [words("idle_none")]
    return Section(words("title_idle"), [Bullets(told)], words("unit_idle"))
