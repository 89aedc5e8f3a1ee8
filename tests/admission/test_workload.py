"""A trace as workload: what of its spread the limits take."""

import math
import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from admission.planning.plan import carried_by_kv, make_plan
from admission.planning.workload import ANSWER_SIGMA, PRESETS, from_requests
from tests.admission.plan_cases import eight_a10


def test_requests_that_are_alike_are_the_workload_of_their_lengths() -> None:
    alike = from_requests("t.csv", [(862, 665)] * 50, max_model_len=32_768)
    assert (alike.isl_tokens, alike.osl_tokens) == (862, 665)
    assert alike.held.mean_tokens == pytest.approx(862 + 665 / 2, abs=1)
    assert alike.held.sd_tokens == pytest.approx(665 / 12**0.5)  # even between 0 and 665


def test_long_answers_weigh_more_among_what_is_running() -> None:
    """Answers of 100 and 300 steps: three of four running requests are the long one."""
    mixed = from_requests("t.csv", [(100, 100), (100, 300)], max_model_len=32_768)
    assert mixed.total_tokens == 300
    assert mixed.held.mean_tokens == (100 * 150 + 300 * 250) // 400


def test_unknown_answer_lengths_are_spread_log_normally() -> None:
    preset = PRESETS["chat"]
    assert sum(preset.answers) / len(preset.answers) == pytest.approx(665, rel=0.02)
    biased = math.exp(ANSWER_SIGMA**2)  # E[o^2] / E[o]^2: long ones run longer
    assert preset.held.mean_tokens == pytest.approx(862 + 665 / 2 * biased, rel=0.05)


def test_the_cache_carries_those_that_run_as_they_vary_and_one_more() -> None:
    """Drawn: of so many running requests at random moments of their lives, all fit together."""
    plan = make_plan(eight_a10(tp=2))
    workload, capacity = PRESETS["chat"], plan.memory.expected
    tokens = capacity.usable_blocks * capacity.block_tokens
    carried = carried_by_kv(plan.memory, capacity, workload, share=0.95)
    rng = random.Random(1)
    rooms = [
        tokens - sum(_drawn(workload.answers, rng) for _ in range(carried - 1)) for _ in range(2000)
    ]
    held = sum(room >= workload.total_tokens for room in rooms) / len(rooms)
    assert 0.92 < held < 0.985


def _drawn(answers: Sequence[int], rng: random.Random) -> float:
    (answer,) = rng.choices(answers, weights=answers)
    return 862 + answer * rng.random()


def test_what_max_model_len_refuses_is_left_out_and_reported() -> None:
    rows = [(900, 100)] * 9 + [(40_000, 100)]
    trace = from_requests("t.csv", rows, max_model_len=32_768)
    assert trace.isl_tokens == 900
    warned = make_plan(replace(eight_a10(), workload=trace)).warnings
    assert any("10.0% of the trace's requests are longer" in told for told in warned)
    with pytest.raises(ValueError, match="no request fits max_model_len 100"):
        from_requests("t.csv", rows, max_model_len=100)


def test_more_arrivals_than_are_sustained_are_reported() -> None:
    trace = from_requests("t.csv", [(900, 100)], max_model_len=32_768, offered_per_s=1000.0)
    warned = make_plan(replace(eight_a10(), workload=trace)).warnings
    assert any("1000.00 requests/s, more than" in told for told in warned)


def test_an_answer_of_no_tokens_counts_as_one() -> None:
    assert from_requests("t.csv", [(10, 0)], max_model_len=100).osl_tokens == 1
