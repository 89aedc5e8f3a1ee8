"""The plan's number of requests at once keeps its SLO in a loop of modelled steps, and more do not.

The goal of the plan is 10 %; a run of some hundred requests is worth about 10 %, too.
"""

from dataclasses import replace

import pytest

from admission.planning.plan import make_plan, steps_of
from admission.terms.slo import parse_slo
from tests.admission.closed_loop import Seen, closed_loop
from tests.admission.planning.plan_cases import eight_a10

SLO = parse_slo("ttft_p95<=5s,tpot_p95<=200ms,success>=99%")


def held(tp: int, isl: int, share: float) -> tuple[str, Seen]:
    """What binds by the plan, and what a share of its requests at once would see."""
    asked = eight_a10()
    arguments = replace(
        asked.arguments, tensor_parallel_size=tp, max_num_batched_tokens=512, max_model_len=32_768
    )
    work = replace(asked.workload, isl_tokens=isl, osl_tokens=665)
    plan = make_plan(replace(asked, gpus=tp, arguments=arguments, workload=work, slo=SLO))
    model = steps_of(plan.question, plan.memory)
    assert model is not None
    limits = plan.load.limits
    compute = min(limits["prefill"].concurrency or 0, limits["decode"].concurrency or 0)
    mix = plan.question.mix(work, 512)
    return plan.load.binding, closed_loop(
        model, mix, max(1, round(share * compute)), until_s=1200.0
    )


@pytest.mark.parametrize(("tp", "isl"), [(8, 862), (8, 1383), (4, 862)])
def test_the_sustained_number_is_that_of_a_closed_loop(tp: int, isl: int) -> None:
    _, fewer = held(tp, isl, 0.85)
    ttft_s, tpot_s = fewer.within(0.95)
    assert (ttft_s <= SLO.ttft_s, tpot_s <= SLO.tpot_s) == (True, True), (ttft_s, tpot_s)
    _, more = held(tp, isl, 1.25)
    ttft_s, tpot_s = more.within(0.95)
    assert ttft_s > SLO.ttft_s or tpot_s > SLO.tpot_s, (ttft_s, tpot_s)


def test_long_prompts_are_bound_by_the_first_token() -> None:
    binding, one = held(8, 3431, 0.4)
    assert binding == "prefill"
    assert one.within(0.5)[0] > 4.5
