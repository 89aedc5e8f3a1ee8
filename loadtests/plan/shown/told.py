"""The sentences and short lists of a plan, shared by the terminal and the page."""

from admission.planning.advice import Advice
from admission.planning.layouts import reason, weights_name
from admission.planning.people import people
from admission.planning.plan import Plan, PlannedLoad
from admission.planning.rule_of_thumb import REQUEST_TOKENS, RuleRow
from loadtests.plan.findings import Findings
from loadtests.plan.shown.numbers import rate
from loadtests.plan.shown.words import PlanWords


def asked(plan: Plan, words: PlanWords) -> list[str]:
    """The question with defaults filled in."""
    question, engine, work = plan.question, plan.memory.engine, plan.question.workload
    lines = [
        words(
            "engines",
            gpus=question.gpus,
            gpu=engine.gpu.name,
            replicas=question.replicas,
            tp=engine.tp,
            pp=engine.pp,
            weights=weights_name(question),
            version=engine.version,
        ),
        words(
            "arguments",
            length=engine.max_model_len,
            slots=engine.max_sequences,
            step=engine.max_batched_tokens,
        ),
        words("workload", name=work.name, isl=work.isl_tokens, osl=work.osl_tokens),
        words("source", text=words.say(work.source)),
    ]
    if work.offered_per_s is not None:
        lines.append(words("offered", rate=work.offered_per_s))
    return [*lines, words("slo", slo=str(question.slo) or words("slo_none"))]


def warnings(plan: Plan, words: PlanWords) -> list[str]:
    """The plan's warnings, each on its line."""
    return [words("warning", text=words.say(warning)) for warning in plan.warnings]


def users(load: PlannedLoad, think_s: float) -> str:
    """Users that the load serves; `-` = none, `?` = the card's speed is unknown."""
    served = people(load, think_s)
    if served is not None:
        return f"{served.users:,}"
    return "?" if load.rate_per_s is None else "-"


def load_line(load: PlannedLoad, words: PlanWords) -> str:
    """Requests at once with their range and rate."""
    found = load.sustained
    return words(
        "load",
        expected=found.expected,
        low=found.low,
        high=found.high,
        rate=rate(load.rate_per_s),
    )


def sustained_line(load: PlannedLoad, words: PlanWords) -> str:
    """The sustained load and the binding limit."""
    return words("sustained_line", load=load_line(load, words), binding=load.binding)


def people_line(load: PlannedLoad, think_s: float, words: PlanWords) -> list[str]:
    """The arithmetic of the number of users; [] if there are none."""
    served = people(load, think_s)
    if served is None:
        return []
    values = {"residence": served.residence_s, "think": think_s, "users": served.users}
    return [words("people_line", rate=rate(load.rate_per_s), **values)]


def other_link(plan: Plan, words: PlanWords) -> list[str]:
    """The load on the other possible link, if the cards' link has not been measured."""
    if plan.other_link is None:
        return []
    load = load_line(plan.other_link, words)
    gpu, binding = plan.question.gpu.name, plan.other_link.binding
    return [words("other_link", gpu=gpu, load=load, binding=binding)]


def layout_sentence(found: Findings, words: PlanWords) -> str:
    """Why the best layout is the best."""
    if found.chosen is None:
        return words("nothing_fits")
    return words("sentence", text=reason(found.chosen, found.layouts))


def rule_number(line: RuleRow) -> str:
    """The model's number in a line; sizes with one decimal."""
    return f"{line.model:.1f}" if line.unit else f"{line.model:.0f}"


def rule_summary(found: Findings, words: PlanWords) -> str:
    """The result of the rule of thumb, and why the plan's differs."""
    plan, (by_kv, in_slo) = found.shown.plan, found.shown.rule[-2:]
    return words(
        "rule_sum_kv" if plan.load.binding == "kv" else "rule_sum",
        rule=in_slo.rule,
        by_kv=by_kv.model,
        tokens=min(REQUEST_TOKENS, plan.memory.engine.max_model_len),
        sustained=in_slo.model,
        binding=plan.load.binding,
    )


def advised(found: Findings, words: PlanWords) -> str:
    """The recommended layout and its load; "" if nothing fits."""
    if found.chosen is None or found.advice is None:
        return ""
    load = load_line(found.advice.settled.load, words)
    return words("advice", layout=found.chosen.name, weights=found.chosen.weights, load=load)


def remarks(advice: Advice) -> list[str]:
    """Remarks on the settings: how long a full step takes, and which have no effect."""
    return [*([advice.even_step.told] if advice.even_step else []), *advice.idle]


def settings(advice: Advice) -> list[tuple[str, str]]:
    """Recommended settings as (profile key, value)."""
    engine, tpot_s = advice.settled.memory.engine, advice.settings.tpot_target_s
    return [
        ("engine.replicas", str(advice.settled.question.replicas)),
        ("tensor_parallel_size", str(engine.tp)),
        ("gpu_memory_utilization", f"{engine.utilization_ratio:g}"),
        ("max_model_len", str(engine.max_model_len)),
        ("max_num_seqs", str(advice.max_num_seqs)),
        ("max_num_batched_tokens", str(engine.max_batched_tokens)),
        ("admission.ttft_deadline_s", f"{advice.settings.ttft_deadline_s:g}"),
        ("admission.tpot_target_s", "null" if tpot_s is None else f"{tpot_s:g}"),
        (
            "admission.prefill_backlog_max_tokens",
            str(advice.settings.prefill_backlog_max_tokens),
        ),
    ]
