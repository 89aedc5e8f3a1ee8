"""When requests arrive: the right number, the right burstiness, always the same for a seed."""

import random
import statistics
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from loadtests.asking.arrivals import RateCurve, arrivals, constant, ramp, replay, steps


def gaps(instants: list[float]) -> list[float]:
    return [b - a for a, b in pairwise(instants)]


def played(curve: RateCurve, cv: float = 1.0, seed: int = 1) -> list[float]:
    return list(arrivals(curve, random.Random(seed), cv=cv))


@pytest.mark.parametrize("cv", [0.5, 1.0, 2.0, 4.0])
def test_gaps_have_the_mean_and_the_burstiness_that_were_asked(cv: float) -> None:
    found = gaps(played(constant(10, 4000), cv))
    mean = statistics.mean(found)
    assert mean == pytest.approx(0.1, rel=0.1)
    assert statistics.stdev(found) / mean == pytest.approx(cv, rel=0.1)


def test_without_burstiness_they_come_like_a_clock() -> None:
    assert played(constant(2, 3), cv=0) == pytest.approx([0.5, 1.0, 1.5, 2.0, 2.5, 3.0])


def test_poisson_counts_vary_as_much_as_their_mean() -> None:
    counts = [0] * 500
    for at_s in played(constant(10, 500)):
        counts[int(at_s)] += 1
    assert statistics.variance(counts) == pytest.approx(10, rel=0.2)


def test_a_ramp_brings_a_quarter_in_its_first_half() -> None:
    instants = played(ramp(0, 20, 1000))
    assert len(instants) == pytest.approx(10_000, rel=0.05)
    first_half = sum(at_s < 500 for at_s in instants)
    assert first_half / len(instants) == pytest.approx(0.25, abs=0.02)


def test_steps_keep_their_rates_and_a_pause_is_a_pause() -> None:
    instants = played(steps([(100, 5), (100, 0), (100, 20)]))
    assert not [at_s for at_s in instants if 100 <= at_s < 200]
    assert sum(at_s < 100 for at_s in instants) == pytest.approx(500, rel=0.15)
    assert sum(at_s >= 200 for at_s in instants) == pytest.approx(2000, rel=0.1)


def test_a_seed_is_a_schedule() -> None:
    curve = constant(3, 50)
    assert played(curve, seed=7) == played(curve, seed=7)
    assert played(curve, seed=7) != played(curve, seed=8)


rates = st.floats(0, 20)
curves = st.lists(st.tuples(st.floats(0.1, 50), rates, rates), min_size=1, max_size=6).map(
    lambda stages: RateCurve(
        tuple(
            point
            for index, (seconds, first, last) in enumerate(stages)
            for point in (
                (sum(s for s, _, _ in stages[:index]), first),
                (sum(s for s, _, _ in stages[:index]) + seconds, last),
            )
        )
    )
)


@given(curves, st.sampled_from([0.0, 0.5, 1.0, 3.0]), st.integers(0, 9))
@example(RateCurve(((0, 1.0), (41.1, 9.0))), 30.0, 0)  # most gaps are below a float's precision
def test_instants_ascend_within_the_curve(curve: RateCurve, cv: float, seed: int) -> None:
    instants = played(curve, cv, seed)
    assert all(a <= b for a, b in pairwise(instants))
    assert all(0 <= at_s <= curve.until_s + 1e-6 for at_s in instants)


@given(curves)
def test_a_clock_brings_as_many_as_expected(curve: RateCurve) -> None:
    assert len(played(curve, cv=0)) == pytest.approx(curve.expected(), abs=1 + 1e-6)


@pytest.mark.parametrize(
    "points", [(), ((0.0, 1.0),), ((1.0, 1.0), (2.0, 1.0)), ((0.0, 1.0), (1.0, -1.0))]
)
def test_a_curve_that_is_none_is_refused(points: tuple[tuple[float, float], ...]) -> None:
    with pytest.raises(ValueError, match="RateCurve"):
        RateCurve(points)


def test_a_trace_is_replayed_in_order_and_faster() -> None:
    again = list(replay([4.0, 0.0, 2.0], random.Random(1), speed=2))
    assert again == [(0.0, 1), (1.0, 2), (2.0, 0)]


def test_a_trace_can_be_thinned_and_doubled() -> None:
    instants = [float(n) for n in range(4000)]
    thin = list(replay(instants, random.Random(1), rate=0.25))
    assert len(thin) == pytest.approx(1000, rel=0.1)
    assert len(list(replay(instants, random.Random(1), rate=2.5))) == pytest.approx(
        10_000, rel=0.02
    )
    assert {at_s for at_s, _ in thin} <= set(instants)
