"""Engine arguments and admission settings for a layout, and settings that can never take effect."""

from dataclasses import dataclass, replace

from admission.join import step_model
from admission.plan import Plan, make_plan
from admission.settings import Settings
from admission.step_limits import Mix, prefill_tokens_per_s

_STEPS_TOKENS = (256, 512, 1024, 2048, 4096, 8192)  # max_num_batched_tokens that are tried
_SLOTS_GRAIN = 8  # slots are rounded up to this: sizes that CUDA graphs are captured for
_SPARE_SLOTS_RATIO = 1.25  # requests shorter than the mean still find a slot
_WORTH_RATIO = 1.02  # a change of step that brings less is none
_NEVER_FILLED_RATIO = 0.5  # below this share of the cache the KV settings decide nothing


@dataclass(frozen=True, slots=True)
class Advice:
    """What to write into a profile; `idle` names settings that would never take effect."""

    plan: Plan  # with the advised step
    max_num_batched_tokens: int
    max_num_seqs: int
    ttft_deadline_s: float
    prefill_backlog_max_tokens: int
    idle: tuple[str, ...]


def advise(plan: Plan) -> Advice:
    """The step that carries most within the SLO, slots a quarter above that, the backlog of TTFT.

    Backlog = prompt tokens a second x TTFT bound: what stands before a request that is still in
    time; at least one step.
    """
    chosen = _best_step(plan)
    engine, workload, slo = chosen.memory.engine, chosen.question.workload, chosen.question.slo
    replicas = chosen.question.replicas
    each = chosen.load.sustained.high / replicas
    slots = -(-int(each * _SPARE_SLOTS_RATIO) // _SLOTS_GRAIN) * _SLOTS_GRAIN
    slots = min(max(_SLOTS_GRAIN, slots), engine.max_batched_tokens)
    deadline_s = min(slo.ttft_s, Settings().ttft_deadline_s)
    backlog, model = Settings().prefill_backlog_max_tokens, step_model(chosen.memory)
    if model is not None:
        mix = Mix(workload.isl_tokens, workload.osl_tokens, engine.max_batched_tokens)
        busy = int(chosen.load.sustained.expected / replicas)
        backlog = round(prefill_tokens_per_s(model, mix, sequences=busy) * deadline_s)
    return Advice(
        plan=chosen,
        max_num_batched_tokens=engine.max_batched_tokens,
        max_num_seqs=slots,
        ttft_deadline_s=deadline_s,
        prefill_backlog_max_tokens=max(engine.max_batched_tokens, backlog),
        idle=_idle(chosen, slots),
    )


def _best_step(plan: Plan) -> Plan:
    """The plan with the step size that brings the highest rate; its own unless clearly beaten."""
    chosen = plan
    for tokens in _STEPS_TOKENS:
        given = replace(plan.question.arguments, max_num_batched_tokens=tokens)
        tried = make_plan(replace(plan.question, arguments=given))
        worth = (chosen.load.rate_per_s or 0.0) * _WORTH_RATIO
        if not tried.misfit and (tried.load.rate_per_s or 0.0) > worth:
            chosen = tried
    return chosen


def _idle(plan: Plan, slots: int) -> tuple[str, ...]:
    """Settings of the KV cache that this workload never reaches, with the arithmetic."""
    tokens = plan.question.workload.total_tokens
    capacity = plan.memory.expected.usable_blocks * plan.memory.expected.block_tokens
    share = slots * tokens / capacity if capacity else 1.0
    if share >= _NEVER_FILLED_RATIO:
        return ()
    return (
        f"kv_headroom_ratio decides nothing: {slots} slots x {tokens} tokens are"
        f" {share:.0%} of the cache",
    )
