"""Settings that can never take effect are named with the sum that says so."""

from dataclasses import replace

import pytest

from admission.planning.no_effect import no_effect
from admission.planning.plan import Plan, make_plan
from admission.planning.workload import from_requests
from admission.terms.settings import Mode, Policy, Settings
from tests.admission.planning.plan_cases import eight_a10, with_17_gib


def plan(*, tp: int = 8, workload: str = "chat", **arguments: int) -> Plan:
    """The eight A10 with 17 GiB of KV a card, so that capacity is exact."""
    question = with_17_gib(eight_a10(tp=tp, workload=workload))
    return make_plan(replace(question, arguments=replace(question.arguments, **arguments)))


def told(plan: Plan, settings: Settings | None = None) -> dict[str, str]:
    """What is said of each setting."""
    return {idle.setting: idle.why for idle in no_effect(plan, settings or Settings())}


def test_a_cache_that_all_slots_together_half_fill_makes_the_headroom_idle() -> None:
    assert told(plan(max_num_seqs=64))["kv_headroom_ratio"] == (
        "kv_headroom_ratio has no effect: 64 slots x 1,544 tokens are 18% of the cache"
    )
    assert "kv_headroom_ratio" not in told(plan(max_num_seqs=256))


def test_slots_that_the_cache_cannot_fill_are_named() -> None:
    """34,815 usable blocks / 775 of a running request, 12,387 tokens on average = 44."""
    said = told(plan(workload="long-context", max_num_seqs=256))["max_num_seqs"]
    assert said.endswith("the cache holds 44 requests of 12,387 tokens")
    assert "max_num_seqs" not in told(plan(workload="long-context", max_num_seqs=64))


def test_a_step_larger_than_all_that_may_wait_is_named() -> None:
    said = told(plan(max_num_seqs=64, max_num_batched_tokens=16_384))["max_num_batched_tokens"]
    assert said.endswith("64 slots and a prefill backlog of 8,192 tokens make 8,256")
    assert "max_num_batched_tokens" not in told(plan(max_num_batched_tokens=8192))


def test_a_length_that_the_null_block_takes_away_is_named() -> None:
    """Blocks for exactly one request of max_model_len, one of which is vLLM's null block."""
    question = eight_a10()
    exact = replace(question, available_kv_bytes=32_768 * 32_768.0)
    assert "32,752 tokens" in told(make_plan(exact))["max_model_len"]


def test_a_trace_far_below_the_length_is_named() -> None:
    trace = from_requests("t.csv", [(900, 100), (1900, 100)], max_model_len=32_768)
    said = told(make_plan(replace(eight_a10(), workload=trace)))["max_model_len"]
    assert said.endswith("the trace's longest request has 2,000 tokens")


def test_of_the_queues_two_bounds_the_one_met_second_is_named() -> None:
    tokens_first = told(plan(tp=2), Settings(queue_max_tokens=10_000, queue_max_requests=64))
    assert tokens_first["queue.max_requests"].endswith("are 6 requests of 1,527 tokens")
    requests_first = told(plan(tp=2), Settings(queue_max_requests=64))
    assert "are 120,704" in requests_first["queue.max_tokens"]
    assert "queue.max_requests" not in requests_first


def test_a_queue_longer_than_the_deadlines_allow_is_named() -> None:
    assert "start within 120 s" in told(plan(), Settings())["queue.max_requests"]


def test_no_request_waits_where_the_queue_holds_no_tokens() -> None:
    assert "no request can wait" in told(plan(), Settings(queue_max_tokens=0))["queue.max_requests"]


def test_a_backlog_that_all_slots_together_never_reach_is_named() -> None:
    said = told(plan(max_num_seqs=8), Settings(prefill_backlog_max_tokens=10_000))
    assert said["prefill_backlog_max_tokens"].endswith("8 slots x 862 prompt tokens are 6,896")


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (Settings(), "static.limit"),
        (Settings(mode=Mode.SHADOW), "mode"),
        (Settings(policy=Policy.WORST_CASE), "output_quantile"),
        (Settings(policy=Policy.WORST_CASE), "kv_overflow_sigmas"),
        (Settings(policy=Policy.STATIC), "kv_headroom_ratio"),
        (Settings(policy=Policy.STATIC), "prefill_backlog_max_tokens"),
        (Settings(policy=Policy.STATIC), "max_num_seqs"),
        (Settings(policy=Policy.STATIC, static_limit=999), "static.limit"),
    ],
)
def test_what_mode_and_policy_leave_unread_is_named(settings: Settings, named: str) -> None:
    assert named in told(plan(), settings)


def test_the_limit_in_force_is_not_named() -> None:
    assert "static.limit" not in told(plan(), Settings(policy=Policy.STATIC))
    assert "mode" not in told(plan(), Settings())


def test_nothing_is_said_of_what_does_not_fit() -> None:
    assert told(plan(tp=2, workload="long-context", max_model_len=4096)) == {}
