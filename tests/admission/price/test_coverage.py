"""Shares of answers that were no longer than predicted."""

import pytest

from admission.price.coverage import Coverage
from admission.price.lengths import Prediction
from admission.price.outlook import Outlook


def predicted(tokens: int = 90, median: int = 50, samples: int = 400) -> Prediction:
    return Prediction(tokens, median, 55, False, samples, ("all",), Outlook(2048))


def test_few_answers_say_nothing() -> None:
    coverage = Coverage()
    for _ in range(99):
        coverage.note(predicted(), 1000, limit=2048)
    assert coverage.price.ratio is None
    assert not coverage.alarm(0.9)


def test_answers_as_predicted_raise_no_alarm() -> None:
    coverage = Coverage()
    for number in range(1000):
        coverage.note(predicted(), 1 + number % 100, limit=2048)
    assert coverage.median.ratio == pytest.approx(0.5)
    assert coverage.price.ratio == pytest.approx(0.9)
    assert not coverage.alarm(0.9)
    assert coverage.alarm(0.8), "the price was asked to cover less"


def test_answers_twice_as_long_raise_one() -> None:
    coverage = Coverage()
    for number in range(1000):
        coverage.note(predicted(), 2 * (1 + number % 100), limit=2048)
    assert coverage.price.ratio == pytest.approx(0.45)
    assert coverage.alarm(0.9)


def test_what_could_not_have_been_longer_says_nothing() -> None:
    coverage = Coverage()
    for _ in range(200):
        coverage.note(predicted(tokens=64), 64, limit=64)
    assert coverage.price.ratio is None
    assert coverage.median.ratio == 0.0


def test_guesses_before_a_class_is_known_are_left_out() -> None:
    coverage = Coverage()
    for _ in range(200):
        coverage.note(predicted(samples=0), 10, limit=2048)
    assert coverage.price.ratio is None
