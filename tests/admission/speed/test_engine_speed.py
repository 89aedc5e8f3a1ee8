"""What steps teach of the engine's speed, and what is forecast by it."""

import pytest

from admission.speed.engine_speed import EngineSpeed
from admission.speed.linear_steps import StepCoefficients
from admission.speed.step_fit import TimedStep

LINE = StepCoefficients(0.02, 4e-4, 3e-4, 1e-7)


def observe(speed: EngineSpeed, step: TimedStep, times: int = 1) -> bool:
    """Whether the last of them was believed."""
    return [speed.observe(step, clock_steps=1.0, now_s=1.0) for _ in range(times)][-1]


def test_of_an_unknown_engine_nothing_takes_time() -> None:
    speed = EngineSpeed()
    assert speed.step_s(prefill_tokens=100, sequences=1, context_tokens=0) is None
    assert (speed.prefill_s(100), speed.waiting_s(100)) == (0, 0)


def test_the_pace_stands_in_until_there_are_coefficients() -> None:
    speed = EngineSpeed()
    observe(speed, TimedStep(0, 4, 1000, 0.1), 10)
    assert speed.coefficients is None
    assert speed.decode_step_s(400, 10**6) == pytest.approx(0.1)
    assert speed.step_s(prefill_tokens=10, sequences=4, context_tokens=1000) is None
    observe(speed, TimedStep(2048, 4, 1000, 0.3))
    assert speed.step_s(prefill_tokens=1024, sequences=4, context_tokens=0) == pytest.approx(0.2)


def test_coefficients_say_what_a_step_takes_by_its_contents() -> None:
    speed = EngineSpeed()
    observe(speed, TimedStep(0, 4, 1000, 0.5), 10)
    speed.begin_with(LINE)
    assert speed.decode_step_s(10, 0) == pytest.approx(0.023)
    assert speed.prefill_s(1000) == pytest.approx(0.4)


def test_a_wait_is_as_long_as_steps_were_with_the_prompts_between() -> None:
    speed = EngineSpeed()
    speed.begin_with(LINE)
    for _ in range(100):
        observe(speed, TimedStep(0, 10, 0, 0.1))
        observe(speed, TimedStep(1000, 10, 0, 0.3))
    assert speed.waiting_s(10) == pytest.approx(2.0, rel=0.05)


def test_an_outlier_teaches_nothing_until_it_is_no_exception() -> None:
    speed = EngineSpeed()
    speed.begin_with(LINE)
    assert not observe(speed, TimedStep(0, 10, 0, 2.3), 4)
    assert (speed.coefficients, speed.pace.step_s) == (LINE, None)
    assert observe(speed, TimedStep(0, 10, 0, 2.3))
    assert speed.decode_step_s(10, 0) == pytest.approx(2.3)


def test_the_step_that_shows_coefficients_to_be_far_off_is_a_surprise() -> None:
    speed = EngineSpeed()
    speed.begin_with(LINE)
    surprises = []
    for _ in range(32):
        observe(speed, TimedStep(0, 10, 0, 0.05))
        surprises.append(speed.surprised)
    assert surprises.count(True) == 1
    assert surprises[15]
