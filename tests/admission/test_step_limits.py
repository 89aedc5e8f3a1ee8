"""What step times mean for TPOT, TTFT and rates."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from admission.planning.step_limits import (
    Mix,
    most_steady,
    prefill_s,
    prefill_tokens_per_s,
    steady,
)
from admission.planning.ttft import PromptLine
from admission.speed.step import StepContents
from tests.admission.step_time_cases import CHAT, engine


def test_no_engine_is_fast_enough_for_an_impossible_bound() -> None:
    assert most_steady(engine(), CHAT, tpot_s=0.001, at_most=64) == 0
    assert PromptLine(engine(), CHAT, sequences=0).ttft_s(0) > 0.01


def test_longer_contexts_leave_fewer_sequences() -> None:
    many, few = (
        most_steady(engine(), Mix(prompt, 300, 512), tpot_s=0.1, at_most=512)
        for prompt in (100, 8_000)
    )
    assert many > 2 * few


def test_a_prompt_is_computed_chunk_by_chunk_beside_the_decodes() -> None:
    model, mix = engine(), Mix(prompt_tokens=3000, output_tokens=1, batched_tokens=1024)
    by_hand = sum(
        model.step(StepContents(prefill_tokens=chunk, prefill_context_tokens=done)).total_s
        for chunk, done in ((1024, 0), (1024, 1024), (952, 2048))
    )
    assert prefill_s(model, mix) == pytest.approx(by_hand)
    assert prefill_s(model, mix, sequences=64) > prefill_s(model, mix)


def test_a_cached_prefix_costs_attention_only() -> None:
    mix = Mix(prompt_tokens=100, output_tokens=1)
    long = prefill_s(engine(), mix, cached_tokens=30_000)
    assert prefill_s(engine(), mix) < long < prefill_s(engine(), Mix(30_100, 1)) / 5


def test_a_full_batch_of_decodes_still_leaves_a_token_for_prompts() -> None:
    mix = Mix(prompt_tokens=3, output_tokens=10, batched_tokens=16)
    assert prefill_s(engine(), mix, sequences=64) < math.inf


def test_a_mix_without_tokens_is_the_callers_bug() -> None:
    with pytest.raises(ValueError, match="at least one token"):
        Mix(prompt_tokens=0, output_tokens=10)


@given(st.integers(1, 200), st.integers(1, 8000), st.integers(1, 2000))
def test_what_is_produced_is_what_is_decoded(sequences: int, prompt: int, output: int) -> None:
    now = steady(engine(), Mix(prompt, output), sequences=sequences)
    if now.chunk_steps_ratio < 1:  # Little's law
        assert now.rate_per_s * output * now.tpot_s == pytest.approx(sequences)
    assert now.decode_step_s <= now.tpot_s * (1 + 1e-9)
    assert now.tpot_s <= now.chunk_step_s * (1 + 1e-9)


def test_prompts_bind_where_answers_are_short() -> None:
    now = steady(engine(), Mix(prompt_tokens=8000, output_tokens=10), sequences=64)
    assert now.chunk_steps_ratio == 1
    assert now.rate_per_s < 64 / (10 * now.tpot_s)


def test_prompts_in_between_cost_sequences() -> None:
    most = most_steady(engine(), CHAT, tpot_s=0.1, at_most=256)
    assert most > 0
    assert steady(engine(), CHAT, sequences=most + 1).decode_step_s < 0.1


def test_pipeline_stages_work_on_as_many_batches_at_once() -> None:
    piped, alone = engine(1, 8), engine(1)
    one, eight = (steady(piped, CHAT, sequences=count) for count in (1, 8))
    assert one.decode_step_s == eight.decode_step_s
    ratio = prefill_tokens_per_s(piped, CHAT) / prefill_tokens_per_s(alone, CHAT)
    assert 7 < ratio <= 8


def test_two_engines_of_four_a10s_serve_more_chats_than_one_of_eight() -> None:
    one = most_steady(engine(8), CHAT, tpot_s=0.2, at_most=256)
    two = 2 * most_steady(engine(4), CHAT, tpot_s=0.2, at_most=256)
    assert two > one
