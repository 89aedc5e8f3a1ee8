"""What step times mean for TPOT, TTFT and rates."""

import heapq
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from admission.step_limits import (
    Mix,
    closed_loop_ttft_s,
    most_steady,
    others_rate_per_s,
    prefill_s,
    prefill_tokens_per_s,
    steady,
    ttft_s,
)
from admission.step_time import Deployment, StepContents, StepModel, Weights
from tests.admission.step_time_cases import SHAPES, speeds_of


def engine(ranks: int = 4, stages: int = 1) -> StepModel:
    """Qwen3-32B INT4 on A10s."""
    gpu = speeds_of("A10")
    return StepModel(Deployment(SHAPES["Qwen3-32B"], gpu, Weights.INT4, ranks, stages))


CHAT = Mix(prompt_tokens=1000, output_tokens=300)


def test_nobody_is_fast_enough_for_an_impossible_bound() -> None:
    assert most_steady(engine(), CHAT, tpot_s=0.001, at_most=64) == 0
    assert ttft_s(engine(), CHAT, rate_per_s=0, sequences=0) > 0.01


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


def test_ttft_grows_with_load_until_prompts_pile_up() -> None:
    model = engine()
    most = prefill_tokens_per_s(model, CHAT) / CHAT.prompt_tokens
    idle, half, full = (
        ttft_s(model, CHAT, rate_per_s=share * most, sequences=0) for share in (0.0, 0.5, 1.01)
    )
    assert idle == prefill_s(model, CHAT)
    assert idle < half < full == math.inf


def test_users_in_a_closed_loop_ask_for_less_while_they_wait() -> None:
    model = engine()
    for users in (1, 4, 40):
        most = prefill_tokens_per_s(model, CHAT, sequences=users) / CHAT.prompt_tokens
        for share in (0.1, 0.9, 3.0):
            asked = share * most
            others = others_rate_per_s(model, CHAT, rate_per_s=asked, sequences=users)
            assert others <= asked * (users - 1) / users
            taken_s = ttft_s(model, CHAT, rate_per_s=others, sequences=users)
            assert taken_s < math.inf
            assert taken_s == closed_loop_ttft_s(model, CHAT, rate_per_s=asked, sequences=users)


@pytest.mark.parametrize("users", [1, 3, 8, 30])
@pytest.mark.parametrize("load", [0.3, 0.8, 1.2])
def test_a_closed_loop_goes_as_fast_as_one_that_is_played(users: int, load: float) -> None:
    model = engine()
    own_s = prefill_s(model, CHAT, sequences=users)
    away_s = users * own_s / load
    others = others_rate_per_s(model, CHAT, rate_per_s=users / away_s, sequences=users)
    rng, free_s, served = random.Random(1), 0.0, 4000
    asks = [rng.expovariate(1 / away_s) for _ in range(users)]
    for _ in range(served):  # one line, in order of arrival
        free_s = max(free_s, heapq.heappop(asks)) + own_s
        heapq.heappush(asks, free_s + rng.expovariate(1 / away_s))
    assert others == pytest.approx(served / free_s * (users - 1) / users, rel=0.1)


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
