"""A plan's three charts: memory, limits, concurrency over context length."""

from collections.abc import Callable
from dataclasses import dataclass

from admission.planning.memory.estimate import GIB
from admission.planning.plan import LIMITS, Plan, over_context
from loadtests.document.bars import Bar, Part, bars, stack
from loadtests.document.curves import Curve, Deciding, curves
from loadtests.document.ink import Drawing
from loadtests.plan.findings import Findings
from loadtests.plan.shown.numbers import gib, gib_ends, rate, sign, whole
from loadtests.plan.shown.words import PlanWords

_SHORTEST_TOKENS = 512
_STEPS_PER_DOUBLING = 2


@dataclass(frozen=True, slots=True)
class PlanChart:
    """One chart; `name` names its file and its labels `title_{name}` and `{name}_caption`."""

    name: str
    draw: Callable[[Findings, PlanWords], Drawing]


def memory(found: Findings, words: PlanWords) -> Drawing:
    """One GPU, part by part, in GiB."""
    parts = []
    for name, part in found.shown.plan.memory.budget.parts():
        low, high = gib_ends(part)
        expected = f"{sign(part)} {gib(part)}"
        text = words("ranged", expected=expected, low=low, high=high)
        if part.exact:
            text = words("exactly", value=expected)
        value, low_gib, high_gib = part.expected / GIB, part.low / GIB, part.high / GIB
        parts.append(Part(words(f"part_{name}"), value, low_gib, high_gib, text))
    return stack(parts, axis="GiB")


def limits(found: Findings, words: PlanWords) -> Drawing:
    """Requests at once by each limit."""
    load, numbers = found.shown.plan.load, []
    for name in LIMITS:
        limit = load.limits[name]
        value = limit.concurrency
        low, high = (load.kv.low, load.kv.high) if name == "kv" else (value or 0, value or 0)
        text = words("with_rate", requests=whole(value), rate=rate(limit.rate_per_s))
        marked = name == load.binding
        numbers.append(Bar(words.limit(name), value, low, high, text, marked))
    return bars(numbers, axis=words("requests_axis"))


def context(found: Findings, words: PlanWords) -> Drawing:
    """Requests at once by limit and request length, with the workload's own length marked."""
    plan = found.shown.plan
    loads = over_context(plan, _lengths(plan))
    xs = [tokens for tokens, _ in loads]
    kv = [load.kv for _, load in loads]
    lines = [
        Curve(
            words.limit(name),
            [load.limits[name].concurrency for _, load in loads],
            [x.low for x in kv] if name == "kv" else (),
            [x.high for x in kv] if name == "kv" else (),
        )
        for name in LIMITS
    ]
    if plan.other_link is not None:
        other = over_context(plan, xs, plan.question.other_link)
        values = [load.sustained.expected for _, load in other]
        lines.append(Curve(words("sustained_switched"), values, dashed=True))
    deciding = Deciding(
        [load.sustained.expected for _, load in loads],
        [LIMITS.index(load.binding) for _, load in loads],
    )
    names = (words("context_axis"), words("requests_axis"))
    return curves(xs, lines, deciding, point=_workload(plan, words), axes_names=names)


CHARTS = (PlanChart("memory", memory), PlanChart("limits", limits), PlanChart("context", context))


def _lengths(plan: Plan) -> list[int]:
    """Lengths from 512 tokens to max_model_len, two per doubling; at least two."""
    longest = plan.memory.engine.max_model_len
    first = min(_SHORTEST_TOKENS, longest // 2)
    steps = range(64)
    grown = (round(first * 2 ** (step / _STEPS_PER_DOUBLING)) for step in steps)
    return [*(tokens for tokens in grown if tokens < longest), longest]


def _workload(plan: Plan, words: PlanWords) -> tuple[float, float, str] | None:
    """The position and label of the workload; None if it is longer than the axis."""
    tokens = plan.question.workload.total_tokens
    if not _lengths(plan)[0] <= tokens <= plan.memory.engine.max_model_len:
        return None
    return tokens, plan.load.sustained.expected, words("this_workload")
