"""By how much forecasts of first tokens err, and the margin that follows."""

import pytest

from admission.controller import Controller
from admission.gates.first_token import FirstTokens
from admission.speed.linear_steps import StepCoefficients
from admission.terms.decision import Limit
from admission.terms.settings import Settings
from tests.admission.examples import accepted, engine, offer, record, refused, shape

WIDE = engine(usable_blocks=10_000, max_sequences=64, max_model_len=8_192)


def seen(*late_s: float) -> FirstTokens:
    """Each of these came so much later than foreseen, or sooner."""
    first_tokens = FirstTokens()
    for row, late in enumerate(late_s):
        first_tokens.expect(row, 10.0)
        first_tokens.see([row], 10.0 + late)
    return first_tokens


def test_a_few_forecasts_say_nothing() -> None:
    few = seen(*[5.0] * 9)
    assert few.error_s is None
    assert few.margin_s == 0.0


def test_the_margin_is_what_a_tenth_came_later_by() -> None:
    errors = [0.0] * 80 + [1.0] * 20
    assert seen(*errors).margin_s == pytest.approx(1.0)
    assert seen(*errors).error_s == pytest.approx(0.2)


def test_forecasts_that_were_too_late_need_no_margin() -> None:
    assert seen(*[-1.0] * 20).margin_s == 0.0
    assert seen(*[-1.0] * 20).error_s == pytest.approx(1.0)


def test_only_the_last_hundred_count() -> None:
    assert seen(*[9.0] * 100, *[0.0] * 100).margin_s == 0.0


def test_an_error_is_forgotten_after_two_minutes() -> None:
    first_tokens = seen(*[9.0] * 50)
    for row in range(100, 111):
        first_tokens.expect(row, 200.0)
        first_tokens.see([row], 200.0)
    assert first_tokens.margin_s == 0.0


def test_what_was_predicted_by_other_step_times_says_nothing() -> None:
    first_tokens = seen(*[9.0] * 50)
    first_tokens.expect(99, 10.0)
    first_tokens.start_over()
    assert first_tokens.margin_s == 0.0
    first_tokens.see([99], 500.0)
    assert first_tokens.margin_s == 0.0


def test_one_that_left_before_its_first_token_is_no_error() -> None:
    first_tokens = seen(*[0.0] * 20)
    first_tokens.expect(99, 10.0)
    first_tokens.forget(99)
    first_tokens.see([99], 500.0)
    assert first_tokens.error_s == 0.0


def test_a_gateway_whose_first_tokens_come_late_refuses_what_would_just_have_made_it() -> None:
    gate = Controller(WIDE, Settings())
    gate.know_step_times(StepCoefficients(0.05, 0.001, 0.0, 0.0))
    for turn in range(20):  # each has its first token a second after it was due
        now_s = 10.0 * turn
        lease = accepted(gate.offer(offer(shape(100, 50), arrived_at_s=now_s), now_s))
        (row,) = gate.rows_of(lease)
        gate.progress(record({row: 1}, prefill_tokens=100), now_s + 1.2)
        gate.release(lease, now_s + 2.0, in_engine=False)
    assert gate.timing.first_tokens.margin_s == pytest.approx(1.0)
    tight = offer(shape(1000, 50), arrived_at_s=300.0, patience_s=1.5)
    accepted(gate.offer(tight, 300.0))  # an idle engine: no forecast to err
    late = refused(gate.offer(offer(shape(10, 50), arrived_at_s=300.0, patience_s=2.0), 300.0))
    assert late.limit is Limit.PREFILL


def test_an_unmeasured_prior_refuses_no_request_of_an_idle_engine() -> None:
    gate = Controller(WIDE, Settings())
    gate.know_step_times(StepCoefficients(0.05, 1.0, 0.0, 0.0))  # a thousand times too slow
    impatient = offer(shape(2000, 50), patience_s=5.0)
    accepted(gate.offer(impatient, 0.0))
    refused(gate.offer(impatient, 0.0))
