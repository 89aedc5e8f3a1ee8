"""How fast the engine runs, from what its steps took."""

import pytest

from admission.speed.pace import Pace


def observe(pace: Pace, times: int, *, elapsed_s: float, **fields: float) -> None:
    """The same step, several times."""
    step = {"steps": 1.0, "prefill_tokens": 0, "decode_tokens": 1} | fields
    for _ in range(times):
        pace.observe(elapsed_s=elapsed_s, **step)  # type: ignore[arg-type]


def test_nothing_is_known_until_it_was_measured() -> None:
    pace = Pace()
    assert pace.step_s is None
    assert pace.prefill_s_per_token is None


def test_a_few_steps_are_no_evidence() -> None:
    pace = Pace()
    observe(pace, 7, elapsed_s=9.0)
    assert pace.step_s is None
    observe(pace, 3, elapsed_s=9.0)
    assert pace.step_s == pytest.approx(9.0)


def test_the_first_slow_steps_are_forgotten() -> None:
    pace = Pace()
    observe(pace, 10, elapsed_s=5.0)
    observe(pace, 400, elapsed_s=0.1)
    assert pace.step_s == pytest.approx(0.1, rel=0.1)


def test_a_prompt_costs_what_its_step_takes_beyond_decoding() -> None:
    pace = Pace()
    observe(pace, 30, elapsed_s=0.1)
    observe(pace, 30, elapsed_s=0.3, prefill_tokens=1000)
    assert pace.prefill_s_per_token == pytest.approx(2e-4, rel=0.01)


def test_a_small_prompt_is_no_evidence() -> None:
    pace = Pace()
    observe(pace, 1, elapsed_s=0.3, steps=0.0, prefill_tokens=30, decode_tokens=0)
    assert pace.prefill_s_per_token is None


def test_waiting_steps_include_the_prompts_of_others() -> None:
    pace = Pace()
    for _ in range(200):
        observe(pace, 1, elapsed_s=0.1)
        observe(pace, 1, elapsed_s=0.3, prefill_tokens=1000)
    assert pace.step_s == pytest.approx(0.2, rel=0.02)


@pytest.mark.parametrize("steps", [0.0, 1.0])
def test_prompts_without_running_sequences_do_not_lengthen_the_steps(steps: float) -> None:
    pace = Pace()
    observe(pace, 500, elapsed_s=0.5, steps=steps, prefill_tokens=100, decode_tokens=0)
    assert pace.step_s is None
    observe(pace, 20, elapsed_s=0.02)
    assert pace.step_s == pytest.approx(0.02)


def test_the_last_token_of_the_only_sequence_is_a_step() -> None:
    pace = Pace()
    observe(pace, 30, elapsed_s=0.1)
    observe(pace, 100, elapsed_s=0.1, steps=0.0)
    assert pace.step_s == pytest.approx(0.1)


def test_a_step_of_several_tokens_counts_as_several() -> None:
    pace = Pace()
    observe(pace, 30, elapsed_s=0.2, steps=2.0)
    assert pace.step_s == pytest.approx(0.1)


@pytest.mark.parametrize("elapsed_s", [0.0, -1.0, 30.0, 3600.0])
def test_a_step_not_timed_or_stalled_teaches_nothing(elapsed_s: float) -> None:
    pace = Pace()
    observe(pace, 30, elapsed_s=0.1)
    observe(pace, 30, elapsed_s=elapsed_s)
    assert pace.step_s == pytest.approx(0.1)
