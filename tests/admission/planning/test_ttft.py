"""How long users wait for their first token where all prompts stand in one line."""

import heapq
import math
import random

import pytest

from admission.planning.step_limits import Mix, prefill_s, prefill_tokens_per_s, steady
from admission.planning.ttft import PromptLine
from tests.admission.planning.step_time_cases import CHAT, engine


def test_ttft_grows_with_load_until_prompts_pile_up() -> None:
    model, line = engine(), PromptLine(engine(), CHAT, sequences=0)
    most = prefill_tokens_per_s(model, CHAT) / CHAT.prompt_tokens
    idle, half, full = (line.ttft_s(share * most) for share in (0.0, 0.5, 1.01))
    assert idle == prefill_s(model, CHAT)
    assert idle < half < full == math.inf


def test_users_in_a_closed_loop_ask_for_less_while_they_wait() -> None:
    model = engine()
    for users in (1, 4, 40):
        line = PromptLine(model, CHAT, sequences=users)
        most = prefill_tokens_per_s(model, CHAT, sequences=users) / CHAT.prompt_tokens
        for share in (0.1, 0.9, 3.0):
            others = line.others_per_s(share * most)
            assert others <= share * most * (users - 1) / users
            assert line.ttft_s(others) < math.inf


@pytest.mark.parametrize("users", [1, 3, 8, 30])
@pytest.mark.parametrize("load", [0.3, 0.8, 1.2])
def test_a_closed_loop_goes_as_fast_as_one_that_is_played(users: int, load: float) -> None:
    model = engine()
    own_s = prefill_s(model, CHAT, sequences=users)
    away_s = users * own_s / load
    others = PromptLine(model, CHAT, sequences=users).others_per_s(users / away_s)
    rng, free_s, served = random.Random(1), 0.0, 4000
    asks = [rng.expovariate(1 / away_s) for _ in range(users)]
    for _ in range(served):  # one line, in order of arrival
        free_s = max(free_s, heapq.heappop(asks)) + own_s
        heapq.heappush(asks, free_s + rng.expovariate(1 / away_s))
    assert others == pytest.approx(served / free_s * (users - 1) / users, rel=0.1)


def test_the_longest_prompts_decide_the_percentile() -> None:
    """One in ten is eight times as long: p50 does not see it, p95 does, even unloaded."""
    spread = Mix(1000, 300, prompts=(500,) * 9 + (4000,))
    line = PromptLine(engine(), spread, sequences=0)
    half, most = (line.ttft_s(0, share=share) for share in (0.5, 0.95))
    assert half == pytest.approx(prefill_s(engine(), spread, prompt_tokens=500), rel=0.01)
    assert most == pytest.approx(prefill_s(engine(), spread, prompt_tokens=4000), rel=0.01)


def test_prompts_that_differ_wait_longer_than_prompts_that_are_alike() -> None:
    alike, spread = Mix(1000, 300), Mix(1000, 300, prompts=(100, 1900))
    waits = [
        PromptLine(engine(), mix, sequences=0).ttft_s(0.8, share=0.99) for mix in (alike, spread)
    ]
    assert waits[0] < waits[1]


def test_equal_prompts_in_parts_are_one_prompt() -> None:
    alike, parts = Mix(1000, 300), Mix(1000, 300, context_tokens=1150, prompts=(1000,) * 40)
    one, many = (steady(engine(), mix, sequences=16) for mix in (alike, parts))
    assert many.rate_per_s == pytest.approx(one.rate_per_s)
    one_line, many_line = (PromptLine(engine(), mix, sequences=16) for mix in (alike, parts))
    for rate in (0.0, 0.3, 0.8):
        assert many_line.ttft_s(rate) == pytest.approx(one_line.ttft_s(rate), rel=1e-3)
