"""The plan as JSON with stable keys."""

from typing import Any

from admission.planning.advice import Advice
from admission.planning.layouts import Layout, reason, weights_name
from admission.planning.memory.budget import MemoryPlan
from admission.planning.memory.estimate import GIB, Estimate
from admission.planning.people import people
from admission.planning.plan import LIMITS, Plan, PlannedLoad
from admission.planning.rule_of_thumb import RuleRow
from admission.planning.workload import Workload
from loadtests.document.words import Language
from loadtests.plan.findings import Detail, Findings
from loadtests.plan.shown.lead import lead
from loadtests.plan.shown.words import PlanWords

_ADVISED = (
    "tensor_parallel_size",
    "pipeline_parallel_size",
    "gpu_memory_utilization",
    "max_model_len",
    "max_num_seqs",
    "max_num_batched_tokens",
)


def answer(found: Findings) -> dict[str, Any]:
    """Everything that the terminal shows; sizes are per GPU in GiB, capacity is of one engine.

    The top level describes the question's deployment. `nearest_fit` is the nearest change that
    fits; null = it fits as it is. `shown` is the deployment that the terminal and the page show in
    detail, with the same keys; null = the question's.
    """
    plan = found.plan
    return {
        "answer": lead(found, PlanWords(Language.EN)),
        "fits": not plan.misfit,
        "misfit": plan.misfit or None,
        "nearest_fit": found.nearest,
        **_detail(found.asked, found.think_s),
        "shown": None if found.shown is found.asked else _detail(found.shown, found.think_s),
        "layouts": [_layout(layout, found) for layout in found.layouts],
        "recommended": _recommended(found),
    }


def _detail(detail: Detail, think_s: float) -> dict[str, Any]:
    """All numbers of one deployment."""
    plan = detail.plan
    return {
        **_asked(plan),
        **_memory(plan.memory),
        **_load(plan.load),
        "people": _people(plan.load, think_s),
        "links": _links(plan),
        "concurrency_over_context": [
            {"tokens": tokens, **_load(load)} for tokens, load in detail.contexts
        ],
        "rule_of_thumb": [_rule(line) for line in detail.rule],
        "no_effect": [idle.why for idle in detail.idle],
        "warnings": list(plan.warnings),
    }


def _people(load: PlannedLoad, think_s: float) -> dict[str, Any]:
    """N = X (R + Z); null if nothing is sustained or the card's speed is unknown."""
    served = people(load, think_s)
    return {
        "users": served.users if served else None,
        "think_s": _rounded(think_s),
        "residence_s": _rounded(served.residence_s) if served else None,
    }


def _rule(line: RuleRow) -> dict[str, Any]:
    return {
        "what": line.what,
        "unit": line.unit,
        "rule": line.rule,
        "model": round(line.model, 3),
        "error_ratio": _rounded(line.error_ratio),
    }


def _asked(plan: Plan) -> dict[str, Any]:
    question = plan.question
    work = question.workload
    return {
        "gpu": question.gpu.name,
        "gpus": question.gpus,
        "replicas": question.replicas,
        "engine": _engine(plan),
        "workload": {
            "name": work.name,
            "isl_tokens": work.isl_tokens,
            "osl_tokens": work.osl_tokens,
            "source": work.source,
            **_spread(work),
        },
        "slo": str(question.slo),
    }


def _spread(work: Workload) -> dict[str, Any]:
    """What a trace has in addition to its means."""
    if work.spread is None:
        return {}
    return {
        "requests": work.spread.requests,
        "held_tokens": work.held.mean_tokens,
        "held_sd_tokens": round(work.held.sd_tokens),
        "longest_tokens": work.longest_tokens,
        "left_out_ratio": _rounded(work.spread.left_out_ratio),
        "offered_rate_per_s": _rounded(work.offered_per_s),
    }


def _memory(memory: MemoryPlan) -> dict[str, Any]:
    budget, blocks = memory.budget, (memory.low.blocks, memory.expected.blocks, memory.high.blocks)
    return {
        "kv_bytes_per_token": _range(Estimate.exactly(memory.bytes_per_token)),
        "kv_bytes_per_token_per_gpu": _range(Estimate.exactly(memory.bytes_per_token_per_gpu)),
        "weights_gib_per_gpu": _range(budget.weights.times(1 / GIB)),
        "activation_gib_per_gpu": _range(budget.activation.times(1 / GIB)),
        "available_kv_gib_per_gpu": _range(budget.kv.times(1 / GIB)),
        "kv_capacity_tokens": _range(memory.capacity_tokens),
        "num_gpu_blocks": _range(Estimate(*blocks)),
        "max_concurrency_at_max_model_len": round(memory.max_concurrency.expected, 4),
        "memory_gib_per_gpu": {
            name: _range(part.times(1 / GIB)) | {"exact": part.exact}
            for name, part in budget.parts()
        },
    }


def _links(plan: Plan) -> dict[str, Any]:
    """The assumed link, and the load on the other if the card's own has not been measured."""
    other = plan.question.other_link
    return {
        "taken": _link(plan),
        "assumed": other is not None,
        "other": {"name": other, **_load(plan.other_link)} if plan.other_link else None,
    }


def _engine(plan: Plan) -> dict[str, Any]:
    engine = plan.memory.engine
    return {
        "vllm_version": str(engine.version),
        "weights": weights_name(plan.question),
        "tensor_parallel_size": engine.tp,
        "pipeline_parallel_size": engine.pp,
        "gpu_memory_utilization": engine.utilization_ratio,
        "max_model_len": engine.max_model_len,
        "max_num_seqs": engine.max_sequences,
        "max_num_batched_tokens": engine.max_batched_tokens,
        "block_size": engine.block_tokens,
    }


def _link(plan: Plan) -> str | None:
    speeds = plan.question.gpu.speeds
    return None if speeds is None else str(plan.question.link or speeds.link)


def _load(load: PlannedLoad) -> dict[str, Any]:
    return {
        "limits": {
            name: {
                "concurrency": load.limits[name].concurrency,
                "rate_per_s": _rounded(load.limits[name].rate_per_s),
                "note": load.limits[name].note,
            }
            for name in LIMITS
        },
        "binding_limit": load.binding,
        "sustained_concurrency": _range(load.sustained),
        "sustained_rate_per_s": _rounded(load.rate_per_s),
    }


def _layout(layout: Layout, found: Findings) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": layout.name,
        "tensor_parallel_size": layout.tp,
        "pipeline_parallel_size": layout.pp,
        "replicas": layout.replicas,
        "weights": layout.weights,
        "fits": not layout.misfit,
        "misfit": layout.misfit or None,
        "best": layout is found.chosen,
        "as_asked": layout is found.named,
    }
    if layout.plan is not None:
        entry |= {"max_num_batched_tokens": layout.plan.memory.engine.max_batched_tokens}
        entry |= {"people": _people(layout.plan.load, found.think_s)}
        tokens = layout.plan.memory.capacity_tokens
        entry |= {"kv_capacity_tokens_all": _range(tokens.times(layout.replicas))}
        entry |= _load(layout.plan.load)
    return entry


def _recommended(found: Findings) -> dict[str, Any] | None:
    chosen, advice = found.chosen, found.advice
    if chosen is None or advice is None:
        return None
    engine = _engine(advice.settled) | {"max_num_seqs": advice.max_num_seqs}
    return {
        "layout": chosen.name,
        "weights": chosen.weights,
        "replicas": chosen.replicas,
        "reason": reason(chosen, found.layouts),
        "engine_args": {name: engine[name] for name in _ADVISED},
        "admission": {
            "ttft_deadline_s": advice.settings.ttft_deadline_s,
            "tpot_target_s": advice.settings.tpot_target_s,
            "prefill_backlog_max_tokens": advice.settings.prefill_backlog_max_tokens,
        },
        "sustained_concurrency": _range(advice.settled.load.sustained),
        "sustained_rate_per_s": _rounded(advice.settled.load.rate_per_s),
        "binding_limit": advice.settled.load.binding,
        "people": _people(advice.settled.load, found.think_s),
        "even_step": _even_step(advice),
        "no_effect": list(advice.idle),
    }


def _even_step(advice: Advice) -> dict[str, Any] | None:
    even = advice.even_step
    if even is None:
        return None
    return {
        "max_num_batched_tokens": even.plan.memory.engine.max_batched_tokens,
        "step_s": _rounded(even.step_s),
        "sustained_rate_per_s": _rounded(even.plan.load.rate_per_s),
        "recommended_step_s": _rounded(even.asked_step_s),
    }


def _range(value: Estimate) -> dict[str, float]:
    return {
        "low": _rounded(value.low) or 0,
        "expected": _rounded(value.expected) or 0,
        "high": _rounded(value.high) or 0,
    }


def _rounded(number: float | None) -> float | None:
    """Four decimals; whole numbers stay whole."""
    if number is None:
        return None
    return int(number) if number == int(number) else round(number, 4)
