"""The plan for a terminal of 80 columns."""

from collections.abc import Iterable, Iterator

from admission.planning.layouts import Layout
from admission.planning.memory.estimate import Estimate
from admission.planning.plan import LIMITS, Plan
from loadtests.plan.findings import Findings
from loadtests.plan.shown.columns import cut, left, right, wrapped
from loadtests.plan.shown.lead import lead
from loadtests.plan.shown.numbers import error, gib, gib_ends, rate, whole
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

_BAR_COLUMNS = 60
_MARKS = {"weights": "W", "activation": "a", "graphs": "g", "non_torch": "n", "kv": "K"}


def brief(found: Findings, words: PlanWords) -> str:
    """The answer in some eight lines, with what to be warned of."""
    lines = [*_lead(found, words), *_warnings(found.shown.plan, words)]
    if lines:
        lines += wrapped(words("hint"), first="", rest="")
    return "\n".join(lines)


def text(found: Findings, words: PlanWords) -> str:
    """All sections, none wider than 80 columns; of what does not fit its memory alone."""
    plan = found.shown.plan
    sections = [_lead(found, words), _advice(found, words), _asked(plan, words)]
    sections += [_memory(plan, words)]
    if not plan.misfit:
        sections += [_capacity(plan, words), _limits(found, words), _contexts(found, words)]
    sections += [_layouts(found, words)]
    if not plan.misfit:
        sections += [_rule(found, words), _idle(found, words)]
    return "\n\n".join("\n".join(lines) for lines in sections if lines)


def _lead(found: Findings, words: PlanWords) -> list[str]:
    return [line for told in lead(found, words) for line in wrapped(told, first="", rest="")]


def _title(name: str, words: PlanWords, **values: object) -> str:
    return words(f"title_{name}").upper() + words(f"unit_{name}", **values)


def _asked(plan: Plan, words: PlanWords) -> list[str]:
    told = asked(plan, words)
    lines = [line for each in told for line in wrapped(each, first="  ", rest="    ")]
    return [_title("asked", words), *lines, *_warnings(plan, words, first="  ")]


def _warnings(plan: Plan, words: PlanWords, first: str = "") -> list[str]:
    """What to know before the numbers are believed."""
    rest = f"{first}  "
    return [
        line for told in warnings(plan, words) for line in wrapped(told, first=first, rest=rest)
    ]


def _memory(plan: Plan, words: PlanWords) -> list[str]:
    """One GPU as a bar and a table; `=` exact, `~` estimated."""
    budget = plan.memory.budget
    total = budget.total.expected
    bar = "".join(
        _MARKS.get(name, ".") * round(_BAR_COLUMNS * max(0.0, part.expected) / total)
        for name, part in budget.parts()
    )
    rows = [(_MARKS.get(name, "."), name, part) for name, part in budget.parts()]
    return [
        _title("memory", words),
        f"|{bar[:_BAR_COLUMNS]}|",
        *(_part(mark, name, part, words) for mark, name, part in rows),
        _part(" ", "card", budget.total, words),
    ]


def _part(mark: str, name: str, part: Estimate, words: PlanWords) -> str:
    low, high = gib_ends(part)
    ends = "" if part.exact else f"   {words('range', low=low, high=high)}"
    return f"  {mark} {left(words(f'part_{name}'), 12)}{gib(part)}{ends}"


def _capacity(plan: Plan, words: PlanWords) -> list[str]:
    memory = plan.memory
    tokens, full = memory.capacity_tokens, memory.max_concurrency
    low, high = f"{tokens.low:,.0f}", f"{tokens.high:,.0f}"
    rows = (
        (
            "bytes_per_token",
            "=",
            words("bytes_each", all=memory.bytes_per_token, each=memory.bytes_per_token_per_gpu),
        ),
        ("tokens", "~", words("ranged", expected=f"{tokens.expected:,.0f}", low=low, high=high)),
        (
            "blocks",
            "~",
            words("blocks_of", blocks=memory.expected.blocks, size=memory.expected.block_tokens),
        ),
        (
            "at_max_model_len",
            "~",
            words("requests_range", expected=full.expected, low=full.low, high=full.high),
        ),
    )
    return [
        words("title_capacity").upper(),
        *(f"  {left(words(name), 19)}{sign} {told}" for name, sign, told in rows),
    ]


def _limits(found: Findings, words: PlanWords) -> list[str]:
    """The limits side by side, and once more on the other link where nobody measured one."""
    plan = found.shown.plan
    load = plan.load
    head = left("", 11) + right(words("at_once"), 9) + right(words("per_s"), 10)
    lines = [_title("limits", words), f"{head}  {words('note')}"]
    for name in LIMITS:
        limit = load.limits[name]
        row = f"{'<' if name == load.binding else ' '} {left(words.limit(name), 9)}"
        row += f"{whole(limit.concurrency):>9}{rate(limit.rate_per_s):>10}"
        lines.append(cut(f"{row}  {words.say(limit.note)}"))
    lines += wrapped(sustained_line(load, words), *people_line(load, found.think_s, words))
    if load.sustained.expected == 0:
        lines += wrapped(words("no_request"))
    return [*lines, *wrapped(*other_link(plan, words))]


def _contexts(found: Findings, words: PlanWords) -> list[str]:
    """Concurrency over the length of a request."""
    names = [right(words.limit(name), 10) for name in LIMITS[1:]]
    head = right(words("context_tokens"), 10) + right(words.limit("kv"), 14) + "".join(names)
    head += right(words("sustained"), 11) + f"  {words('binds')}"
    rows = [
        f"{tokens:>10}{_span(load.kv):>14}"
        + "".join(f"{whole(load.limits[name].concurrency):>10}" for name in LIMITS[1:])
        + f"{load.sustained.expected:>11.0f}  {words.limit(load.binding)}"
        for tokens, load in found.shown.contexts
    ]
    return [_title("context", words), head, *rows]


def _span(value: Estimate) -> str:
    return f"{value.low:.0f}-{value.high:.0f}"


def _layouts(found: Findings, words: PlanWords) -> list[str]:
    head = left(f"  {words('layout')}", 16) + left(words("weights"), 8)
    head += right(words("step"), 6) + right(words("kv_tokens"), 11) + right(words("at_once"), 9)
    head += right(words("users"), 8) + right(words("per_s"), 9) + f"  {words('binds')}"
    rows = [cut(_layout(layout, found, words)) for layout in found.layouts]
    told = wrapped(layout_sentence(found, words))
    return [_title("layouts", words, think=found.think_s), head, *rows, *told]


def _layout(layout: Layout, found: Findings, words: PlanWords) -> str:
    mark = "*" if layout is found.chosen else ">" if layout is found.named else " "
    row = f"{mark} {layout.name:<14}{layout.weights:<8}"
    if layout.plan is None or layout.misfit:
        return f"{row}  {words('misfit')}"
    load, memory = layout.plan.load, layout.plan.memory
    tokens = memory.capacity_tokens.expected * layout.replicas
    row += f"{memory.engine.max_batched_tokens:>6}{tokens:>11,.0f}{load.sustained.expected:>9.0f}"
    row += f"{users(load, found.think_s):>8}{rate(load.rate_per_s):>9}"
    return f"{row}  {words.limit(load.binding)}"


def _rule(found: Findings, words: PlanWords) -> list[str]:
    head = left("", 22) + right(words("rule"), 6) + right(words("model"), 8)
    lines = [words("title_rule").upper(), head + right(words("error"), 8)]
    for line in found.shown.rule:
        row = left(f"  {words.say(line.what)} {line.unit}", 22)
        row += f"{line.rule:>6.0f}{rule_number(line):>8}{error(line.error_ratio):>8}"
        lines.append(cut(f"{row}  {words.say(line.why)}".rstrip()))
    return [*lines, *wrapped(rule_summary(found, words))]


def _advice(found: Findings, words: PlanWords) -> list[str]:
    """Arguments for the best layout; nothing where nothing fits."""
    if found.chosen is None or found.advice is None:
        return []
    return [
        *wrapped(
            words("titled", title=words("title_advice").upper(), text=advised(found, words)),
            first="",
        ),
        *(f"  {name}: {value}" for name, value in settings(found.advice)),
        *_bullets(remarks(found.advice), words),
    ]


def _idle(found: Findings, words: PlanWords) -> list[str]:
    told = [idle.why for idle in found.shown.idle]
    return [_title("idle", words), *_bullets(told, words)] if told else []


def _bullets(told: Iterable[str], words: PlanWords) -> Iterator[str]:
    for sentence in told:
        yield from wrapped(words.say(sentence), first="  - ", rest="    ")
