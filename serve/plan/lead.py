"""The answer in a few sentences: the best layout, its people, what binds, what was asked for."""

from admission.layouts import Layout
from admission.people import people
from admission.plan import Load, Plan
from serve.plan.findings import Findings
from serve.plan.numbers import rate
from serve.plan.words import Words


def misfit(found: Findings, words: Words) -> str:
    """Why the deployment asked about does not fit, and what would; "" = it fits."""
    if not found.plan.misfit:
        return ""
    return words("verdict_misfit", misfit=found.plan.misfit, nearest=found.nearest)


def lead(found: Findings, words: Words) -> list[str]:
    """The answer's paragraphs, the best layout first; [] where nothing fits."""
    best = found.chosen
    if best is None or best.plan is None:
        return []
    load, work = best.plan.load, best.plan.question.workload
    told = [_first(found, best, best.plan, words), _within(found, load, words)]
    lengths = words("lengths", name=work.name, isl=work.isl_tokens, osl=work.osl_tokens)
    if people(load, found.think_s):
        lengths = words("thinking", think=found.think_s) + lengths
    return [*told, lengths]


def _first(found: Findings, best: Layout, plan: Plan, words: Words) -> str:
    """The layouts that answer the question, in one sentence."""
    carried = plan.load.sustained
    told = words(
        "lead" if carried.expected else "lead_none",
        gpus=plan.question.gpus,
        gpu=plan.question.gpu.name,
        workload=plan.question.workload.name,
        high=carried.high,
        **_layout(found, best, plan, words),
    )
    for layout in found.answered:
        if layout is best or layout.plan is None or not carried.expected:
            continue
        engine = layout.plan.memory.engine
        key = "also_asked" if layout is found.asked_apart else "also"
        values = _layout(found, layout, layout.plan, words)
        told += words(key, step=engine.max_batched_tokens, **values)
    return told + words("within_end")


def _layout(found: Findings, layout: Layout, plan: Plan, words: Words) -> dict[str, object]:
    """What is said of every layout: requests with their range, users, the format's condition."""
    carried, served = plan.load.sustained, people(plan.load, found.think_s)
    ranged = carried.low < carried.high
    return {
        "requests": carried.expected,
        "range": words("range_of", low=carried.low, high=carried.high) if ranged else "",
        "users": words("users_of", users=served.users) if served else "",
        "layout": layout.name,
        "weights": layout.weights,
        "condition": "" if layout.asked else words(f"if_{layout.weights}"),
    }


def _within(found: Findings, load: Load, words: Words) -> str:
    """The rate, the SLO, and what stands in the way of more."""
    slo = str(found.plan.question.slo) or words("slo_none")
    why = _why(load, words)
    told = words("within", rate=rate(load.rate_per_s), slo=slo, why=why)
    if load.rate_per_s is None:
        told = words("within_memory", why=why)
    asked = found.asked_apart and found.asked_apart.plan
    if asked and asked.load.binding != load.binding:
        return told + words("within_asked", binding=_why(asked.load, words))
    return told + words("within_end")


def _why(load: Load, words: Words) -> str:
    return words(f"why_{load.binding}")
