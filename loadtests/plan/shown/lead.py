"""The answer in a few sentences: the best layout, its users, what binds, the question's layout."""

from admission.planning.layouts import Layout
from admission.planning.people import people
from admission.planning.plan import Plan, PlannedLoad
from loadtests.plan.findings import Findings
from loadtests.plan.shown.numbers import rate
from loadtests.plan.shown.words import PlanWords


def misfit(found: Findings, words: PlanWords) -> str:
    """Why the question's deployment does not fit, and what would; "" = it fits."""
    if not found.plan.misfit:
        return ""
    return words("verdict_misfit", misfit=found.plan.misfit, nearest=found.nearest)


def lead(found: Findings, words: PlanWords) -> list[str]:
    """The answer's paragraphs, the best layout first; [] if nothing fits."""
    best = found.chosen
    if best is None or best.plan is None:
        return []
    load, work = best.plan.load, best.plan.question.workload
    answer = [_first(found, best, best.plan, words), _within(found, load, words)]
    lengths = words("lengths", name=work.name, isl=work.isl_tokens, osl=work.osl_tokens)
    if people(load, found.think_s):
        lengths = words("thinking", think=found.think_s) + lengths
    return [*answer, lengths]


def _first(found: Findings, best: Layout, plan: Plan, words: PlanWords) -> str:
    """The layouts that answer the question, in one sentence."""
    carried = plan.load.sustained
    sentence = words(
        "lead" if carried.expected else "lead_none",
        gpus=plan.question.gpus,
        gpu=plan.question.gpu.name,
        workload=plan.question.workload.name,
        high=carried.high,
        **_layout(found, best, plan, words),
    )
    others = found.answered[1:] if carried.expected else []
    return sentence + "".join(_also(found, layout, words) for layout in others) + words("end")


def _also(found: Findings, layout: Layout, words: PlanWords) -> str:
    """Another layout in the same sentence; with its step if only the step distinguishes it."""
    if layout.plan is None:
        return ""
    values = _layout(found, layout, layout.plan, words)
    if layout is not found.named:
        return words("also", **values | {"range": _rate(layout.plan.load, words)})
    twins = [x for x in found.answered if (x.name, x.weights) == (layout.name, layout.weights)]
    step = words("step_of", step=layout.plan.memory.engine.max_batched_tokens)
    return words("also_asked", step=step if len(twins) > 1 else "", **values)


def _layout(found: Findings, layout: Layout, plan: Plan, words: PlanWords) -> dict[str, object]:
    """The values of every layout: requests with their range, users, the format's condition."""
    served = people(plan.load, found.think_s)
    return {
        "requests": plan.load.sustained.expected,
        "range": _range(plan.load, words),
        "users": words("users_of", users=served.users) if served else "",
        "layout": layout.name,
        "weights": layout.weights,
        "condition": "" if layout.asked else words(f"if_{layout.weights}"),
    }


def _range(load: PlannedLoad, words: PlanWords) -> str:
    """The range of sustained requests, unless it is a point, and the rate."""
    low, high = load.sustained.low, load.sustained.high
    if low < high:
        return words("range_of", low=low, high=high, rate=rate(load.rate_per_s))
    return _rate(load, words)


def _rate(load: PlannedLoad, words: PlanWords) -> str:
    return words("rate_of", rate=rate(load.rate_per_s))


def _within(found: Findings, load: PlannedLoad, words: PlanWords) -> str:
    """The SLO and the binding limit: of the best layout, and of the question's if it differs."""
    slo = str(found.plan.question.slo) or words("slo_none")
    sentence = words("within", slo=slo, why=_why(load, words))
    if load.rate_per_s is None:
        sentence = words("within_memory", why=_why(load, words))
    asked = found.named and found.named.plan
    if asked and asked.load.binding != load.binding:
        sentence += words("within_asked", binding=asked.load.binding)
    return sentence


def _why(load: PlannedLoad, words: PlanWords) -> str:
    return words(f"why_{load.binding}")
