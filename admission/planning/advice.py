"""Recommended engine arguments and admission settings for a layout, as a profile needs them.

A layout is judged with the step size that is recommended for it, so that the table of layouts, the
recommendation and the written profile show the same number.
"""

import math
from dataclasses import dataclass, replace

from admission.planning.even_steps import EvenStep, even_step
from admission.planning.layouts import Layout, as_layout, layouts
from admission.planning.memory.engine.arguments import EngineArguments
from admission.planning.no_effect import no_effect
from admission.planning.plan import Plan, Question, make_plan, steps_of
from admission.planning.step_limits import prefill_tokens_per_s
from admission.terms.settings import Settings

_STEPS_TOKENS = (256, 512, 1024, 2048, 4096, 8192)  # max_num_batched_tokens that are tried
_SLOTS_GRAIN = 8  # slots are rounded up to this: CUDA graphs are captured for multiples of it
_SPARE_SLOTS_RATIO = 1.25  # requests shorter than the mean still find a slot
_WORTH_RATIO = 1.02  # a change of step that gains less is not worth it

STEP, SLOTS = "max_num_batched_tokens", "max_num_seqs"
Kept = frozenset[str]  # those of these two that the advice must not change

_DEFAULT = Settings()
_ADVISED = ("kv_headroom_ratio", "prefill_backlog_max_tokens")


@dataclass(frozen=True, slots=True)
class Advice:
    """Recommended settings; `idle` explains each of them that would have no effect.

    `even_step` is None without a bound on TPOT, or if the card's speed is unknown.
    """

    plan: Plan  # with the advised step
    settled: Plan  # with the advised step and slots: the plan of the written profile
    max_num_seqs: int
    settings: Settings
    idle: tuple[str, ...]
    even_step: EvenStep | None


@dataclass(frozen=True, slots=True)
class Choice:
    """A layout with its advised step, and the advice; None = it does not fit."""

    layout: Layout
    advice: Advice | None

    @property
    def plan(self) -> Plan | None:
        """The layout's plan; None if vLLM would not start at all."""
        return self.layout.plan


def choices(question: Question, kept: Kept = frozenset()) -> list[Choice]:
    """Every layout of the cards with its advised step and slots; arguments in `kept` do not change.

    It adds the question's own split to those of `layouts` if it is not among them. Arguments that
    are not kept start from vLLM's defaults, so that the slots given for one layout do not bound the
    others.
    """
    given = question.arguments
    given = given if STEP in kept else replace(given, max_num_batched_tokens=None)
    given = given if SLOTS in kept else replace(given, max_num_seqs=None)
    question = replace(question, arguments=given)
    found, split = layouts(question), question.arguments.tensor_parallel_size
    if not any(layout.asked and layout.tp == split for layout in found):
        found.append(as_layout(make_plan(question)))
    return [_choice(layout, kept) for layout in found]


def _choice(layout: Layout, kept: Kept) -> Choice:
    if layout.plan is None or layout.misfit:
        return Choice(layout, None)
    advice = advise(layout.plan, kept)
    return Choice(replace(layout, plan=advice.settled), advice)


def advise(plan: Plan, kept: Kept = frozenset()) -> Advice:
    """The step size with the highest rate within the SLO, slots a quarter above, and the backlog.

    If a step size at which no token comes late has as high a rate, that is chosen (`even_steps`).
    Backlog = prompt tokens a second x TTFT bound, at least one step: a request behind a longer
    backlog would miss its bound. Arguments in `kept` stay as they are in the plan.
    """
    keep_step = STEP in kept
    chosen = plan if keep_step else _best_step(plan)
    even = even_step(chosen, slots=_slots(chosen))
    if even and even.needed and not keep_step and _as_good(even, chosen):
        chosen, even = even.plan, replace(even, asked=even.plan, asked_step_s=even.step_s)
    engine, workload, slo = chosen.memory.engine, chosen.question.workload, chosen.question.slo
    replicas = chosen.question.replicas
    slots = engine.max_sequences if SLOTS in kept else _slots(chosen)
    deadline_s = min(slo.ttft_s, _DEFAULT.ttft_deadline_s)
    backlog = _DEFAULT.prefill_backlog_max_tokens
    model = steps_of(chosen.question, chosen.memory)
    if model is not None:
        mix = chosen.question.mix(workload, engine.max_batched_tokens)
        busy = int(chosen.load.sustained.expected / replicas)
        backlog = round(prefill_tokens_per_s(model, mix, sequences=busy) * deadline_s)
    settings = replace(
        _DEFAULT,
        ttft_deadline_s=deadline_s,
        tpot_target_s=slo.tpot_s if slo.tpot_s < math.inf else None,
        prefill_backlog_max_tokens=max(engine.max_batched_tokens, backlog),
    )
    settled = _with(chosen, replace(chosen.question.arguments, max_num_seqs=slots))
    idle = tuple(x.why for x in no_effect(settled, settings) if x.setting in _ADVISED)
    return Advice(chosen, settled, slots, settings, idle, even)


def _slots(plan: Plan) -> int:
    each = plan.load.sustained.high / plan.question.replicas
    slots = -(-int(each * _SPARE_SLOTS_RATIO) // _SLOTS_GRAIN) * _SLOTS_GRAIN
    return min(max(_SLOTS_GRAIN, slots), plan.memory.engine.max_batched_tokens)


def _as_good(even: EvenStep, chosen: Plan) -> bool:
    """Whether these steps keep every token in time at a rate that is not clearly lower."""
    in_time = even.step_s <= chosen.question.slo.tpot_s
    rate, other = even.plan.load.rate_per_s or 0.0, chosen.load.rate_per_s or 0.0
    return in_time and not even.plan.misfit and rate * _WORTH_RATIO >= other


def _with(plan: Plan, arguments: EngineArguments) -> Plan:
    return make_plan(replace(plan.question, arguments=arguments))


def _best_step(plan: Plan) -> Plan:
    """The plan with the step size of the highest rate; keeps its own unless clearly beaten."""
    chosen = plan
    for tokens in _STEPS_TOKENS:
        given = replace(plan.question.arguments, max_num_batched_tokens=tokens)
        tried = _with(plan, given)
        worth = (chosen.load.rate_per_s or 0.0) * _WORTH_RATIO
        if not tried.misfit and (tried.load.rate_per_s or 0.0) > worth:
            chosen = tried
    return chosen
