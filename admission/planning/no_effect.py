"""Settings that can never take effect for a workload, each with the arithmetic that shows it.

The arithmetic uses one engine and the workload's means. A request that is far from the means may
still reach a setting that is named here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from admission.planning.plan import Plan, carried_by_kv, requests_by_kv
from admission.planning.sentences import Sentence
from admission.terms.settings import Mode, Policy, Settings

ENGINE_SETTINGS = ("max_model_len", "max_num_seqs", "max_num_batched_tokens")
_NEVER_FILLED_RATIO = 0.5  # below this share of the cache the KV settings have no effect
_SPARE_SLOTS_RATIO = 1.5  # slots per request of mean length; shorter requests use the others
_FASTER_RATIO = 2.0  # a queue may move this much faster than planned
_FAR_RATIO = 0.5  # a trace never reaches the bound if its longest request is below this share


@dataclass(frozen=True, slots=True)
class Idle:
    """A setting, named as in a profile (dotted inside its section), and why it has no effect."""

    setting: str
    why: Sentence


def no_effect(plan: Plan, settings: Settings) -> tuple[Idle, ...]:
    """Every idle setting of the engine and of admission; () if the plan does not fit."""
    if plan.misfit:
        return ()
    slots = plan.memory.engine.max_sequences
    if settings.policy is Policy.STATIC:
        slots = min(slots, settings.static_limit)
    rules = chain(
        _model_len(plan),
        _slots(plan, settings),
        _step(plan, settings, slots),
        _policy(plan, settings),
        _cache(plan, settings, slots),
        _line(plan, settings),
    )
    return tuple(rules)


def _model_len(plan: Plan) -> Iterator[Idle]:
    memory, longest = plan.memory, plan.question.workload.longest_tokens
    length = memory.engine.max_model_len
    usable = memory.expected.usable_blocks * memory.expected.block_tokens
    if requests_by_kv(memory, memory.expected, length) < 1:
        yield _idle("max_model_len", "idle_model_len", length=length, usable=usable)
    elif longest is not None and longest < length * _FAR_RATIO:
        yield _idle("max_model_len", "idle_model_len_trace", length=length, longest=longest)


def _slots(plan: Plan, settings: Settings) -> Iterator[Idle]:
    """`max_num_seqs`, if the cache or a static limit admits fewer sequences."""
    workload = plan.question.workload
    slots, tokens = plan.memory.engine.max_sequences, workload.held.mean_tokens
    held = carried_by_kv(plan.memory, plan.memory.high, workload)
    if settings.policy is Policy.STATIC and settings.static_limit < slots:
        limit = settings.static_limit
        yield _idle("max_num_seqs", "idle_slots_static", slots=slots, limit=limit)
    elif slots > held * _SPARE_SLOTS_RATIO:
        yield _idle("max_num_seqs", "idle_slots_kv", slots=slots, held=held, tokens=tokens)


def _step(plan: Plan, settings: Settings, slots: int) -> Iterator[Idle]:
    """`max_num_batched_tokens`, if a token of every slot and the prefill backlog never fill it."""
    if settings.policy is Policy.STATIC:
        return
    step, backlog = plan.memory.engine.max_batched_tokens, settings.prefill_backlog_max_tokens
    most = slots + max(backlog, *plan.question.workload.prompts)
    if step >= most:
        name = "max_num_batched_tokens"
        yield _idle(name, "idle_step", step=step, slots=slots, backlog=backlog, most=most)


def _policy(plan: Plan, settings: Settings) -> Iterator[Idle]:
    """Settings that the mode or the policy does not read."""
    policy, limit, slots = settings.policy, settings.static_limit, plan.memory.engine.max_sequences
    if settings.mode is not Mode.ENFORCE:
        yield _idle("mode", "idle_mode", mode=settings.mode)
    if policy is Policy.STATIC:
        for name in ("kv_headroom_ratio", "kv_overflow_sigmas", "prefill_backlog_max_tokens"):
            yield _idle(name, "idle_under_static", setting=name)
        if limit >= slots:
            yield _idle("static.limit", "idle_static_high", limit=limit, slots=slots)
        return
    yield _idle("static.limit", "idle_static_unused", limit=limit, policy=policy)
    if policy is Policy.WORST_CASE:
        for name in ("output_quantile", "kv_overflow_sigmas"):
            yield _idle(name, "idle_worst_case", setting=name)


def _cache(plan: Plan, settings: Settings, slots: int) -> Iterator[Idle]:
    """Bounds on KV and on the prefill backlog that all slots together never reach."""
    if settings.policy is Policy.STATIC:
        return
    workload, expected = plan.question.workload, plan.memory.expected
    tokens, capacity = workload.held.mean_tokens, expected.usable_blocks * expected.block_tokens
    share = slots * tokens / capacity if capacity else 1.0
    if share < _NEVER_FILLED_RATIO:
        name = "kv_headroom_ratio"
        yield _idle(name, "idle_headroom", slots=slots, tokens=tokens, share=share)
    backlog, prompt = settings.prefill_backlog_max_tokens, workload.isl_tokens
    most = slots * prompt
    if backlog > most:
        name = "prefill_backlog_max_tokens"
        yield _idle(name, "idle_backlog", backlog=backlog, slots=slots, prompt=prompt, most=most)


def _line(plan: Plan, settings: Settings) -> Iterator[Idle]:
    """Bounds of the queue that another bound or the deadline always reaches first."""
    workload, bound = plan.question.workload, settings.queue_max_requests
    name, tokens = "queue.max_requests", settings.queue_max_tokens
    if not tokens:
        yield _idle(name, "idle_queue_none", bound=bound)
        return
    priced = workload.isl_tokens + max(workload.osl_tokens, settings.cold_start_output_tokens)
    within, deadline_s = tokens // workload.total_tokens, settings.ttft_deadline_max_s
    rate = _rate_per_s(plan)
    started = rate * deadline_s
    if bound * priced < tokens:
        values: dict[str, object] = {"bound": tokens, "requests": bound, "tokens": priced}
        yield _idle("queue.max_tokens", "idle_queue_tokens", **values, most=bound * priced)
    if rate and started * _FASTER_RATIO < bound:
        values = {"bound": bound, "rate": rate, "most": int(started), "deadline": deadline_s}
        yield _idle(name, "idle_queue_deadline", **values)
    elif within < bound:
        each = workload.total_tokens
        yield _idle(name, "idle_queue_requests", bound=bound, tokens=tokens, most=within, each=each)


def _rate_per_s(plan: Plan) -> float:
    """The highest rate of one engine at any limit, on either link; 0 = unknown."""
    loads = [plan.load, *([plan.other_link] if plan.other_link else [])]
    rates = (limit.rate_per_s or 0.0 for load in loads for limit in load.limits.values())
    return max(rates) / plan.question.replicas


def _idle(setting: str, key: str, /, **values: object) -> Idle:
    return Idle(setting, Sentence(key, **values))
