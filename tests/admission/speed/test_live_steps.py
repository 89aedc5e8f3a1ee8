"""Step times learned while the engine runs."""

import random
from collections.abc import Iterator

import pytest

from admission.speed.linear_steps import StepCoefficients
from admission.speed.live_steps import BATCH, LiveSteps
from admission.speed.step_fit import TimedStep

TRUE = StepCoefficients(0.022, 4e-4, 3e-4, 5.5e-8)
Step = tuple[int, int, int]  # prompt tokens, decodes, context tokens


def times(factor: float, line: StepCoefficients = TRUE) -> StepCoefficients:
    return StepCoefficients(
        factor * line.fixed_s,
        factor * line.prefill_token_s,
        factor * line.decode_sequence_s,
        factor * line.context_token_s,
    )


def contents(seed: int, *, prompts: bool = True) -> Iterator[Step]:
    """Steps of an engine that is busy now and then; without end."""
    rng, decodes = random.Random(seed), 30.0
    while True:
        decodes = min(150.0, max(5.0, decodes + rng.gauss(0, 2)))
        prefill = rng.randrange(1, 512) if prompts and rng.random() < 0.3 else 0
        yield prefill, int(decodes), int(decodes * rng.gauss(1500, 150))


def seconds(line: StepCoefficients, step: Step) -> float:
    return line.seconds(prefill_tokens=step[0], decode_sequences=step[1], context_tokens=step[2])


def teach(
    live: LiveSteps, steps: Iterator[Step], count: int, *, line: StepCoefficients = TRUE
) -> None:
    for _, step in zip(range(count), steps, strict=False):
        observe(live, step, seconds(line, step))


def observe(live: LiveSteps, step: Step, elapsed_s: float) -> bool:
    return live.observe(TimedStep(*step, elapsed_s))


def worst_error(live: LiveSteps, *, seed: int = 99, prompts: bool = True) -> float:
    """Of steps it was not taught."""
    assert live.coefficients is not None
    tried = [step for _, step in zip(range(200), contents(seed, prompts=prompts), strict=False)]
    return max(abs(seconds(live.coefficients, x) / seconds(TRUE, x) - 1) for x in tried)


def test_nothing_is_known_without_a_prior_until_prompts_were_computed() -> None:
    live = LiveSteps()
    teach(live, contents(1, prompts=False), 200)
    assert live.coefficients is None
    teach(live, contents(1), 100)
    assert worst_error(live) < 0.1


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_a_prior_off_by_two_is_overruled_within_a_hundred_steps(factor: float) -> None:
    live = LiveSteps()
    live.begin_with(times(factor))
    teach(live, contents(1), 128)
    assert worst_error(live) < 0.15
    teach(live, contents(2), 512)
    assert worst_error(live) < 0.03


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_steps_that_are_all_alike_tell_the_scale_of_the_rest(factor: float) -> None:
    live = LiveSteps()
    live.begin_with(times(factor))
    for _ in range(40):
        observe(live, (512, 6, 6000), seconds(TRUE, (512, 6, 6000)))
    assert worst_error(live) < 0.05


def test_steps_without_prompts_say_nothing_of_prompts() -> None:
    live = LiveSteps()
    live.begin_with(StepCoefficients(0.001, 4e-4, 3e-4, 5.5e-8))
    teach(live, contents(1, prompts=False), 200)
    assert live.coefficients is not None
    assert live.coefficients.prefill_token_s == pytest.approx(4e-4, rel=0.01)
    assert not live.proven


def test_a_right_prior_stays_right() -> None:
    live = LiveSteps()
    live.begin_with(TRUE)
    teach(live, contents(1), 2000)
    assert worst_error(live) < 0.01
    assert live.error_ratio == pytest.approx(0.0, abs=0.01)


def test_stalls_move_next_to_nothing() -> None:
    live, rng = LiveSteps(), random.Random(3)
    live.begin_with(TRUE)
    for _, step in zip(range(2000), contents(1), strict=False):
        stalled = rng.random() < 0.02
        observe(live, step, seconds(TRUE, step) * rng.gauss(1, 0.02) * (100 if stalled else 1))
    assert worst_error(live) < 0.06


def test_what_a_prompt_costs_is_not_forgotten_while_none_comes() -> None:
    live = LiveSteps()
    live.begin_with(times(0.5))
    teach(live, contents(1), 500)
    teach(live, contents(2, prompts=False), 5000)
    assert worst_error(live) < 0.05


def test_an_engine_that_becomes_slower_is_followed() -> None:
    live = LiveSteps()
    live.begin_with(TRUE)
    teach(live, contents(1), 1000)
    teach(live, contents(2), 1500, line=times(1.5))
    assert live.coefficients is not None
    assert live.coefficients.fixed_s == pytest.approx(1.5 * TRUE.fixed_s, rel=0.05)
    assert live.coefficients.prefill_token_s == pytest.approx(1.5 * TRUE.prefill_token_s, rel=0.05)


def test_the_error_is_that_of_beliefs_held_before_the_steps_came() -> None:
    live = LiveSteps()
    live.begin_with(times(0.5))
    teach(live, contents(1), BATCH)
    assert live.error_ratio == pytest.approx(1.0, rel=0.01)
    teach(live, contents(1), 1000)
    assert live.error_ratio is not None
    assert live.error_ratio < 0.05


def test_no_coefficient_is_negative() -> None:
    live = LiveSteps()
    live.begin_with(TRUE)
    for _, (prefill, decodes, context) in zip(range(500), contents(1), strict=False):
        observe(live, (prefill, decodes, context), max(0.001, 0.5 - 0.003 * decodes))
    assert live.coefficients is not None
    assert live.coefficients.decode_sequence_s >= 0
    assert live.coefficients.context_token_s >= 0


def test_steps_not_timed_or_empty_teach_nothing() -> None:
    live = LiveSteps()
    live.begin_with(TRUE)
    for _ in range(100):
        assert not observe(live, (0, 10, 1000), 0.0)
        assert not observe(live, (0, 0, 0), 0.1)
    assert live.coefficients == TRUE
    assert live.records == 0


def test_slow_steps_are_heard_sooner() -> None:
    live = LiveSteps()
    live.begin_with(times(0.5))
    for _ in range(3):
        assert not observe(live, (512, 10, 10_000), 0.7)
    assert observe(live, (512, 10, 10_000), 0.7)
    assert live.surprised
    teach(live, contents(1), 500)
    assert not live.surprised


def test_an_uneven_engine_is_no_surprise() -> None:
    live, rng, surprises = LiveSteps(), random.Random(5), 0
    for _, step in zip(range(3000), contents(1), strict=False):
        if observe(live, step, seconds(TRUE, step) * rng.lognormvariate(0, 0.5)):
            surprises += live.surprised
    assert surprises <= 1
