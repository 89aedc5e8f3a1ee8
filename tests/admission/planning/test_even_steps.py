"""The step in which no token comes late, by the step times and the bound on TPOT."""

from dataclasses import replace

import pytest

from admission.planning.advice import advise
from admission.planning.even_steps import EvenStep, even_step
from admission.planning.plan import Measurement, Plan, make_plan
from admission.speed.linear_steps import StepCoefficients
from tests.admission.planning.plan_cases import SLO, eight_a10

LINE = StepCoefficients(0.02, 0.0004, 0.0003, 1e-8)


def measured(line: StepCoefficients = LINE, slo: str = SLO, step_tokens: int = 2048) -> Plan:
    question = eight_a10(slo=slo)
    given = replace(question.arguments, max_num_batched_tokens=step_tokens)
    return make_plan(replace(question, arguments=given, measured=Measurement(line, given)))


def even(plan: Plan, slots: int = 64) -> EvenStep:
    found = even_step(plan, slots=slots)
    assert found is not None
    return found


def tokens_of(found: EvenStep) -> int:
    return found.plan.memory.engine.max_batched_tokens


def test_it_is_what_the_bound_leaves_over_a_decoding_step() -> None:
    plan = measured()
    found = even(plan)
    n = int(plan.load.sustained.expected)
    context = n * plan.question.workload.held.mean_tokens
    decode_s = LINE.seconds(prefill_tokens=0, decode_sequences=n, context_tokens=context)
    assert tokens_of(found) == pytest.approx(n + (0.2 - decode_s) / LINE.prefill_token_s, rel=0.05)
    assert tokens_of(found) % plan.memory.engine.block_tokens == 0
    assert found.step_s <= 0.2 < found.asked_step_s


def test_a_tighter_bound_makes_smaller_steps_and_dearer_prompts_too() -> None:
    tokens = tokens_of(even(measured()))
    assert tokens_of(even(measured(slo="ttft_p95<=5s,tpot_p95<=100ms"))) < tokens
    assert tokens_of(even(measured(replace(LINE, prefill_token_s=0.0008)))) < tokens


def test_no_step_is_too_small_for_its_slots_or_for_any_work() -> None:
    slow = measured(replace(LINE, fixed_s=0.3))
    assert tokens_of(even(slow, slots=8)) == 64
    assert tokens_of(even(slow, slots=128)) == 128
    asked = slow.question
    coarse = replace(asked, arguments=replace(asked.arguments, block_size=128))
    assert tokens_of(even(make_plan(coarse), slots=8)) == 128


def test_without_a_bound_there_is_none() -> None:
    assert even_step(measured(slo="ttft_p95<=5s"), slots=64) is None


def test_it_is_advised_where_it_carries_as_much() -> None:
    advice = advise(make_plan(eight_a10(tp=2)))
    found = advice.even_step
    assert found is not None
    assert not found.needed
    assert advice.plan is found.plan
    assert "within the TPOT bound" in found.told


def test_where_it_carries_less_the_advice_says_what_it_would_cost() -> None:
    advice = advise(make_plan(eight_a10(tp=8)))
    found = advice.even_step
    assert found is not None
    assert found.needed
    assert advice.plan is found.asked
    assert (found.plan.load.rate_per_s or 0) < (advice.plan.load.rate_per_s or 0)
    assert f"max_num_batched_tokens {tokens_of(found)} makes it" in found.told
