"""The four limits of Qwen3-32B in 4 bits on eight A10, and which binds."""

from dataclasses import replace

import pytest

from admission.planning.gpus import Link, find_gpu
from admission.planning.join import compute_shape, other_link, step_model
from admission.planning.memory.budget import plan_memory
from admission.planning.memory.model.config_json import read_shape
from admission.planning.plan import LIMITS, make_plan, over_context, requests_by_kv
from admission.planning.workload import PRESETS, find_workload
from serve.models.catalogue import find_config, known_models
from tests.admission.planning.plan_cases import eight_a10, with_17_gib


def test_a_token_of_qwen3_32b_takes_262144_bytes_and_an_eighth_of_it_on_each_card() -> None:
    memory = make_plan(eight_a10()).memory
    assert (memory.bytes_per_token, memory.bytes_per_token_per_gpu) == (262_144, 32_768)


def test_the_capacity_lies_where_it_was_derived_by_hand() -> None:
    tokens = make_plan(eight_a10()).memory.capacity_tokens
    assert 460_000 <= tokens.low < tokens.expected < tokens.high <= 575_000


def test_17_gib_a_card_hold_135_whole_requests_of_4096_tokens() -> None:
    """34,816 blocks less the null block, 256 blocks a request."""
    memory = make_plan(with_17_gib(eight_a10())).memory
    assert requests_by_kv(memory, memory.expected, 4096) == 135
    assert requests_by_kv(memory, memory.expected, 16_384) == 33


def test_requests_of_4096_tokens_fit_115_to_140_at_once_by_kv() -> None:
    """Each at its end; running ones, spread over their lives, need about as much with a reserve."""
    plan = make_plan(eight_a10())
    low, high = (
        requests_by_kv(plan.memory, capacity, 4096)
        for capacity in (plan.memory.low, plan.memory.high)
    )
    assert 112 <= low < high <= 142
    running = dict(over_context(plan))[4096].kv
    assert (running.low, running.high) == (
        pytest.approx(low, rel=0.05),
        pytest.approx(high, rel=0.05),
    )


def test_the_binding_limit_is_the_smallest_and_is_what_is_sustained() -> None:
    for tp in (8, 4, 2):
        load = make_plan(eight_a10(tp=tp)).load
        concurrency = {name: load.limits[name].concurrency for name in LIMITS}
        assert concurrency[load.binding] == min(x for x in concurrency.values() if x is not None)
        assert load.sustained.expected == concurrency[load.binding]


def test_wide_tensor_parallelism_without_nvlink_is_bound_by_time_and_pairs_by_memory() -> None:
    assert make_plan(eight_a10(tp=8)).load.binding in ("prefill", "decode")
    assert make_plan(eight_a10(tp=2)).load.binding == "kv"


def test_replicas_add_up() -> None:
    whole, half = make_plan(eight_a10(tp=4)), make_plan(replace(eight_a10(tp=4), gpus=4))
    assert whole.load.sustained.expected == 2 * half.load.sustained.expected
    assert whole.load.limits["slots"].concurrency == 512


def test_longer_requests_are_fewer_at_once() -> None:
    curve = [load.limits["kv"].concurrency or 0 for _, load in over_context(make_plan(eight_a10()))]
    assert curve == sorted(curve, reverse=True)
    assert len(curve) == 5


def test_a_stricter_slo_never_carries_more() -> None:
    loose = make_plan(eight_a10(tp=4)).load.sustained.expected
    strict = make_plan(eight_a10(tp=4, slo="ttft_p95<=2s,tpot_p95<=100ms")).load.sustained.expected
    assert strict <= loose


def test_the_unmeasured_link_of_an_a10_is_shown_both_ways() -> None:
    assert other_link(find_gpu("a10")) is Link.PCIE4_P2P
    assert other_link(find_gpu("l40s")) is None
    found = make_plan(eight_a10())
    assert found.other_link is not None
    assert found.load.sustained.high >= found.other_link.sustained.expected


def test_pcie_models_of_a_card_have_no_nvlink() -> None:
    for name in ("A100-PCIE-40GB", "A100-PCIE-80GB", "H100-PCIe"):
        card = find_gpu(name)
        assert not card.nvlink
        assert card.speeds is not None
        assert card.speeds.link is not Link.NVLINK


def test_a_workload_beyond_max_model_len_does_not_fit() -> None:
    question = eight_a10(workload="long-context")
    short = replace(question, arguments=replace(question.arguments, max_model_len=8192))
    found = make_plan(short)
    assert "longer than max_model_len 8192" in found.misfit
    assert found.load.sustained.high == 0


def test_gpus_that_do_not_split_are_refused() -> None:
    with pytest.raises(ValueError, match="multiple of 8"):
        make_plan(replace(eight_a10(), gpus=12))


def test_a_card_without_known_speed_still_has_its_memory_limits() -> None:
    load = make_plan(replace(eight_a10(), gpu=find_gpu("mi300x"))).load
    assert load.limits["prefill"].concurrency is None
    assert load.limits["decode"].rate_per_s is None
    assert load.binding in ("kv", "slots")


@pytest.mark.parametrize("name", known_models())
def test_every_model_of_the_catalogue_has_a_step_time(name: str) -> None:
    shape = compute_shape(read_shape(find_config(name)))
    assert min(shape.layers, shape.hidden, shape.heads, shape.head_size, shape.intermediate) > 0


def test_kv_bytes_are_the_same_in_both_models() -> None:
    question = eight_a10()
    memory = plan_memory(question.model, question.gpu, question.arguments)
    model = step_model(memory)
    assert model is not None
    assert model.kv_bytes_per_token == memory.bytes_per_token_per_gpu


def test_every_preset_says_where_its_lengths_come_from() -> None:
    assert all(preset.source for preset in PRESETS.values())
    with pytest.raises(ValueError, match="nearest known: chat"):
        find_workload("chats")
