"""Fitting the linear form to step records, good ones and bad ones."""

import random
from collections.abc import Sequence
from dataclasses import astuple, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from admission.planning.linear_form import linear_form
from admission.planning.step_model import Deployment, StepModel, Weights
from admission.speed.linear_steps import StepCoefficients
from admission.speed.step_fit import FEWEST_STEPS, TimedStep, fit
from tests.admission.step_time_cases import SHAPES, speeds_of

TRUTH = StepCoefficients(
    fixed_s=0.022, prefill_token_s=4e-4, decode_sequence_s=3e-4, context_token_s=5.5e-8
)
PRIOR = StepCoefficients(
    fixed_s=0.03, prefill_token_s=5e-4, decode_sequence_s=2e-4, context_token_s=4e-8
)


def timed(prefill: int, sequences: int, context: int, *, noise: float = 1.0) -> TimedStep:
    seconds = TRUTH.seconds(
        prefill_tokens=prefill, decode_sequences=sequences, context_tokens=context
    )
    return TimedStep(prefill, sequences, context, seconds * noise)


def busy(count: int, *, spread: float = 0.0, seed: int = 1) -> list[TimedStep]:
    """Steps as a loaded engine reports them: a third carry a chunk."""
    chance = random.Random(seed)
    steps = []
    for _ in range(count):
        sequences = chance.randrange(1, 200)
        context = sequences * chance.randrange(200, 4000)
        prefill = chance.choice((0, 0, chance.randrange(1, 2048)))
        steps.append(timed(prefill, sequences, context, noise=chance.gauss(1, spread)))
    return steps


def test_exact_records_give_the_truth() -> None:
    found = fit(busy(200))
    assert astuple(found.coefficients) == pytest.approx(astuple(TRUTH), rel=1e-4)
    assert found.error_p90_ratio < 1e-4
    assert (found.records, found.not_told, found.enough) == (200, (), True)


def test_noise_averages_out() -> None:
    found = fit(busy(2000, spread=0.05))
    assert astuple(found.coefficients) == pytest.approx(astuple(TRUTH), rel=0.05)
    assert found.error_median_ratio == pytest.approx(0.034, abs=0.01)


@pytest.mark.parametrize("factor", [30.0, 0.05])
def test_stalled_and_mistimed_steps_do_not_move_the_fit(factor: float) -> None:
    steps = busy(1000, spread=0.02)
    for at in range(0, 1000, 15):
        steps[at] = replace(steps[at], elapsed_s=steps[at].elapsed_s * factor)
    found = fit(steps)
    assert astuple(found.coefficients) == pytest.approx(astuple(TRUTH), rel=0.05)
    assert found.outliers >= 60


def test_too_few_records_give_the_prior_and_say_so() -> None:
    found = fit(busy(FEWEST_STEPS - 1), PRIOR)
    assert found.coefficients == PRIOR
    assert not found.enough
    assert len(found.not_told) == 4
    assert found.error_median_ratio > 0.05  # how far off the prior is


def test_too_few_records_and_no_prior_give_their_median() -> None:
    found = fit([timed(0, 1, 0)] * 3)
    assert found.coefficients.fixed_s == pytest.approx(timed(0, 1, 0).elapsed_s)
    assert not found.enough


def test_no_records_give_zeros_and_say_so() -> None:
    found = fit([])
    assert astuple(found.coefficients) == (0, 0, 0, 0)
    assert (found.records, found.enough) == (0, False)


def test_untimed_steps_are_left_out() -> None:
    untimed = [TimedStep(0, 1, 1, seconds) for seconds in (0.0, -1.0, float("nan"), float("inf"))]
    assert fit(busy(100) + untimed).records == 100


def test_without_prompts_their_price_is_the_priors() -> None:
    decodes = [replace(step, prefill_tokens=0) for step in busy(300)]
    decodes = [timed(0, step.decode_sequences, step.context_tokens) for step in decodes]
    found = fit(decodes, PRIOR)
    assert found.not_told == ("prefill",)
    assert found.coefficients.prefill_token_s == PRIOR.prefill_token_s
    assert found.coefficients.decode_sequence_s == pytest.approx(3e-4, rel=0.01)


def test_one_batch_size_cannot_tell_sequences_from_the_fixed_part() -> None:
    steps = [timed(prefill, 64, 64_000) for prefill in range(0, 2000, 20)]
    found = fit(steps, PRIOR)
    assert found.not_told == ("decode", "context")
    assert found.coefficients.decode_sequence_s == PRIOR.decode_sequence_s
    assert found.coefficients.prefill_token_s == pytest.approx(4e-4, rel=0.01)
    assert found.error_p90_ratio < 0.001  # what the others explain, the fixed part takes up


def test_contexts_of_one_length_cannot_be_separated_from_sequences() -> None:
    steps = [timed(prefill, n, 1000 * n) for n in range(1, 60) for prefill in (0, 500)]
    found = fit(steps)
    assert found.not_told == ("context",)
    assert found.coefficients.decode_sequence_s == pytest.approx(3e-4 + 1000 * 5.5e-8, rel=0.01)


@given(
    st.lists(
        st.builds(
            TimedStep,
            st.integers(0, 8192),
            st.integers(0, 512),
            st.integers(0, 2_000_000),
            st.floats(1e-4, 30),
        ),
        max_size=60,
    ),
    st.none() | st.just(PRIOR),
)
def test_any_records_give_finite_coefficients_and_none_below_zero(
    steps: Sequence[TimedStep], prior: StepCoefficients | None
) -> None:
    found = fit(steps, prior)
    assert all(0 <= value < 1e9 for value in astuple(found.coefficients))
    assert found.error_p90_ratio >= found.error_median_ratio >= 0


def test_the_queuear_form_follows_the_roofline() -> None:
    gpu = speeds_of("A10")
    for ranks in (2, 4, 8):
        model = StepModel(Deployment(SHAPES["Qwen3-32B"], gpu, Weights.INT4, ranks))
        form = linear_form(model)
        assert form.enough
        assert form.error_p90_ratio < 0.10
