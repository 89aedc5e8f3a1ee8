"""The same cards in other ways, the nearest that fits, and the rule of thumb."""

from dataclasses import replace

import pytest

from admission.planning.advice import advise
from admission.planning.layouts import best, layouts, nearest_fit, reason
from admission.planning.plan import make_plan
from admission.planning.rule_of_thumb import rule_of_thumb
from tests.admission.planning.plan_cases import eight_a10


def test_every_split_of_eight_cards_is_tried_in_every_format() -> None:
    found = [(x.name, x.weights) for x in layouts(eight_a10())]
    assert found[:4] == [
        ("TP 8", "INT4"),
        ("2 x TP 4", "INT4"),
        ("4 x TP 2", "INT4"),
        ("8 x TP 1", "INT4"),
    ]
    assert {weights for _, weights in found} == {"INT4", "INT8", "FP16"}


def test_on_pcie_cards_pairs_beat_one_wide_engine_for_chat_and_the_sentence_says_why() -> None:
    found = layouts(eight_a10())
    chosen = best(found)
    assert chosen is not None
    assert chosen.name == "4 x TP 2"
    assert "all-reduces" in reason(chosen, found)


def test_the_widest_split_holds_the_most_kv() -> None:
    held = [
        x.plan.memory.capacity_tokens.expected * x.replicas
        for x in layouts(eight_a10())
        if x.plan is not None and x.weights == "INT4"
    ]
    assert held == sorted(held, reverse=True)


def test_sixteen_bit_weights_on_one_card_fit_with_more_cards() -> None:
    question = replace(eight_a10(tp=1), gpus=1)
    full = replace(question, arguments=replace(question.arguments, quantization="none"))
    assert make_plan(full).misfit
    assert "4 x A10" in nearest_fit(full)


def test_a_context_that_is_too_long_is_answered_with_one_that_fits() -> None:
    question = eight_a10(tp=2)
    int8 = replace(question, arguments=replace(question.arguments, quantization="int8"))
    assert "one request of max_model_len" in make_plan(int8).misfit
    assert nearest_fit(int8).startswith("max_model_len ")


def test_the_whiteboard_sum_gives_77_and_the_model_gives_more_by_kv_and_less_within_the_slo() -> (
    None
):
    lines = {line.what: line for line in rule_of_thumb(make_plan(eight_a10()))}
    told = ("memory", "weights", "kept back", "left for KV", "per request", "at once, by KV")
    assert [lines[what].rule for what in told] == [192, 18, 20, 154, 2, 77]
    assert lines["per request"].model == pytest.approx(1.074, abs=0.001)
    assert lines["at once, by KV"].model > 77 > lines["at once, within SLO"].model


def test_the_advised_step_never_carries_less_and_leaves_slots_for_what_is_carried() -> None:
    for tp in (8, 4, 2):
        plan = make_plan(eight_a10(tp=tp))
        advice = advise(plan)
        assert (advice.plan.load.rate_per_s or 0) >= (plan.load.rate_per_s or 0)
        each = advice.plan.load.sustained.expected / plan.question.replicas
        assert advice.max_num_seqs >= each
        step = advice.plan.memory.engine.max_batched_tokens
        assert advice.settings.prefill_backlog_max_tokens >= step


def test_settings_that_never_take_effect_are_named_with_their_sum() -> None:
    question = eight_a10(tp=8, workload="code")
    assert any("of the cache" in told for told in advise(make_plan(question)).idle)
