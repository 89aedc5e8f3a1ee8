"""Arrival times in modelled seconds, ascending, from a seeded generator. Pure.

All arrivals are made in the same way. Gaps of unit mean (exponential = Poisson, gamma = bursts) are
laid along the *expected number of arrivals*, and a rate curve maps that number to a second. So a
ramp of Poisson arrivals is a Poisson process of that rate, and any curve can be bursty.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class RateCurve:
    """Arrivals per second over time, linear between (at_s, per_s) points; equal at_s = a step."""

    points: Sequence[tuple[float, float]]

    def __post_init__(self) -> None:
        times = [at_s for at_s, _ in self.points]
        if len(times) < 2 or times[0] != 0 or any(a > b for a, b in pairwise(times)):  # noqa: PLR2004 - a line has two ends
            raise ValueError(f"{self}: needs two points and more, ascending from 0 s")
        if any(per_s < 0 for _, per_s in self.points):
            raise ValueError(f"{self}: a rate is not negative")

    @property
    def until_s(self) -> float:
        """The end of the curve, in seconds."""
        return self.points[-1][0]

    def times(self, factor: float) -> "RateCurve":
        """The curve with every rate multiplied by `factor`."""
        return RateCurve(tuple((at_s, per_s * factor) for at_s, per_s in self.points))

    def expected(self) -> float:
        """The expected number of arrivals over the whole curve."""
        return sum(_area(left, right) for left, right in pairwise(self.points))


def constant(per_s: float, until_s: float) -> RateCurve:
    """A constant rate."""
    return RateCurve(((0.0, per_s), (until_s, per_s)))


def ramp(from_per_s: float, to_per_s: float, until_s: float) -> RateCurve:
    """A rate that changes linearly."""
    return RateCurve(((0.0, from_per_s), (until_s, to_per_s)))


def steps(stages: Sequence[tuple[float, float]]) -> RateCurve:
    """Consecutive stages of (seconds, per_s)."""
    points, at_s = [], 0.0
    for seconds, per_s in stages:
        points += [(at_s, per_s), (at_s + seconds, per_s)]
        at_s += seconds
    return RateCurve(tuple(points))


def arrivals(curve: RateCurve, rng: random.Random, *, cv: float = 1.0) -> Iterator[float]:
    """Arrival times up to the curve's end. `cv` = coefficient of variation of steady gaps.

    cv 1 is Poisson, cv > 1 is bursty (gamma gaps of shape 1/cv^2, as in BurstGPT and vLLM's
    `--burstiness` 1/cv^2), cv 0 is regular.
    """
    left, at_s = _gap(rng, cv), 0.0
    for (from_s, from_per_s), (to_s, to_per_s) in pairwise(curve.points):
        area = _area((from_s, from_per_s), (to_s, to_per_s))
        reached = 0.0
        while area - reached >= left and area > 0:
            reached += left
            slope = (to_per_s - from_per_s) / (to_s - from_s)
            # Gaps in a burst may be below a float's resolution; times must not go backwards.
            at_s = max(at_s, from_s + _seconds_to(reached, from_per_s, slope))
            yield at_s
            left = _gap(rng, cv)
        left -= area - reached


def replay(
    instants: Sequence[float], rng: random.Random, *, speed: float = 1.0, rate: float = 1.0
) -> Iterator[tuple[float, int]]:
    """Replays a trace: (instant, index into it), ascending.

    `speed` plays it faster, which also makes bursts steeper. `rate` < 1 leaves requests out at
    random; `rate` > 1 repeats some at the same instant. So `rate` changes the load but not the
    bursts.
    """
    for index, at_s in sorted(enumerate(instants), key=lambda each: each[1]):
        copies = int(rate) + (rng.random() < rate - int(rate))
        for _ in range(copies):
            yield at_s / speed, index


def _gap(rng: random.Random, cv: float) -> float:
    """A gap of mean 1."""
    if cv == 0:
        return 1.0
    shape = 1 / cv**2
    return rng.gammavariate(shape, 1 / shape)


def _area(left: tuple[float, float], right: tuple[float, float]) -> float:
    return (left[1] + right[1]) / 2 * (right[0] - left[0])


def _seconds_to(area: float, per_s: float, slope: float) -> float:
    """Seconds until a rate that starts at `per_s` and grows by `slope` has integrated to `area`.

    Solves per_s t + slope t^2 / 2 = area in the form that is exact for slopes near 0.
    """
    root: float = max(0.0, per_s**2 + 2 * slope * area) ** 0.5
    return 2 * area / (per_s + root)
