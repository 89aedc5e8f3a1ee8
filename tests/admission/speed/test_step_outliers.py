"""A step that strays far from its kind teaches nothing; an engine that has become slow does."""

import pytest

from admission.controller import Controller
from admission.speed.linear_steps import StepCoefficients
from admission.speed.step_outliers import StepOutlier, StepOutliers
from admission.terms.settings import Settings
from tests.admission.examples import ENGINE, accepted, offer, record, shape

STEP_S, STALL_S = 0.08, 5.07
LINE = StepCoefficients(STEP_S, 1e-3, 0.0, 0.0)


@pytest.mark.parametrize(
    ("measured_s", "expected_s", "outlier"),
    [
        (5.07, 0.08, True),
        (1.0, 0.1, True),
        (0.99, 0.01, False),  # no deadline is in danger
        (5.0, 0.51, False),  # less than ten times: a wrong model
        (5.0, None, False),  # nothing is known
        (0.0, 0.08, False),  # not timed
    ],
)
def test_an_outlier_is_ten_times_as_long_as_expected_and_a_second(
    measured_s: float, expected_s: float | None, outlier: bool
) -> None:
    outliers = StepOutliers()
    assert outliers.note(measured_s, expected_s, 7.0) is outlier
    assert outliers.count == outlier
    last = StepOutlier(7.0, measured_s, expected_s or 0.0)
    assert outliers.last == (last if outlier else None)


def test_the_fifth_in_a_row_proves_a_slower_engine() -> None:
    outliers = StepOutliers()
    assert [outliers.note(5.0, 0.1, 0.0) for _ in range(5)] == [True] * 4 + [False]
    assert outliers.slower_ratio == pytest.approx(50)
    assert not outliers.note(5.0, 5.0, 0.0)
    assert outliers.slower_ratio is None
    assert outliers.count == 4


def test_a_step_as_expected_between_them_proves_that_they_are_faults() -> None:
    outliers = StepOutliers()
    for _ in range(9):
        assert [outliers.note(5.0, 0.1, 0.0) for _ in range(4)] == [True] * 4
        assert not outliers.note(0.1, 0.1, 0.0)
        assert outliers.slower_ratio is None


class Engine:
    """One sequence that decodes; each step takes the given time."""

    def __init__(self, *, prior: StepCoefficients | None) -> None:
        self.controller = Controller(ENGINE, Settings(kv_headroom_ratio=0.0))
        if prior is not None:
            self.controller.know_step_times(prior)
        answer = self.controller.offer(offer(shape(16, 1500)), 0.0)
        (self._row,) = self.controller.rows_of(accepted(answer))
        self._tokens, self._now_s = 0, 0.0

    def step(self, seconds: float, times: int = 1) -> None:
        for _ in range(times):
            self._tokens += 1
            self._now_s += seconds
            told = record({self._row: self._tokens}, decode_tokens=1, elapsed_s=seconds)
            self.controller.progress(told, self._now_s)

    @property
    def pace_s(self) -> float:
        """Seconds of a decode step, as admission believes."""
        return self.controller.timing.decode_step_s()


@pytest.mark.parametrize("prior", [None, LINE])
def test_stalls_now_and_then_do_not_move_what_is_believed(prior: StepCoefficients | None) -> None:
    engine = Engine(prior=prior)
    engine.step(STEP_S, 40)
    for _ in range(33):  # of 438, as a lost wake-up made them
        engine.step(STALL_S)
        engine.step(STEP_S, 12)
    assert engine.pace_s == pytest.approx(STEP_S, rel=0.05)
    assert engine.controller.speed.pace.step_s == pytest.approx(STEP_S, rel=0.05)
    assert engine.controller.speed.outliers.count == 33
    last = engine.controller.speed.outliers.last
    assert last is not None
    assert (last.measured_s, last.expected_s) == (STALL_S, pytest.approx(STEP_S, rel=0.05))


@pytest.mark.parametrize("prior", [None, LINE])
def test_an_engine_that_becomes_twenty_times_slower_is_believed_and_so_is_its_recovery(
    prior: StepCoefficients | None,
) -> None:
    engine = Engine(prior=prior)
    engine.step(STEP_S, 60)
    for seconds in (20 * STEP_S, STEP_S):
        engine.step(seconds, 300)
        assert engine.pace_s == pytest.approx(seconds, rel=0.1)
    assert engine.controller.speed.outliers.count == 4


def test_once_proven_a_slower_engine_is_believed_at_once() -> None:
    engine = Engine(prior=LINE)
    engine.step(STEP_S, 400)
    engine.step(20 * STEP_S, 5)
    assert engine.pace_s == pytest.approx(20 * STEP_S, rel=0.05)


def test_a_stall_does_not_lengthen_what_silence_is_allowed() -> None:
    engine = Engine(prior=LINE)
    engine.step(STEP_S, 10)
    engine.step(20.0)
    engine.step(STEP_S)
    controller = engine.controller
    controller.tick(engine._now_s + 2.5)
    assert controller.freshness.silent


def test_a_long_prompt_is_no_outlier() -> None:
    engine = Engine(prior=LINE)
    engine.step(STEP_S, 10)
    told = record({}, prefill_tokens=2000, elapsed_s=2.1)
    engine.controller.progress(told, 20.0)
    assert engine.controller.speed.outliers.count == 0
