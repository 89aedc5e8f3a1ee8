"""What the timeline draws: requests and samples gathered into so many bins, however long a run."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from loadtests.judging.percentiles import percentile
from loadtests.record import Record, Sample

BINS = 120
_DOTS_MOST = 600

Points = list[tuple[float, float]]


def end_s(records: Sequence[Record], samples: Sequence[Sample]) -> float:
    """Of the run: its last instant."""
    last = [max((each.ended_at_s for each in records), default=0.0)]
    return max([*last, *(each.at_s for each in samples)]) or 1.0


def dots(records: Sequence[Record], name: str) -> Points:
    """One measure of the requests at their intended starts; every n-th where they are many."""
    known = [
        (each.intended_at_s, value)
        for each in records
        if (value := getattr(each, name)) is not None
    ]
    step = math.ceil(len(known) / _DOTS_MOST) or 1
    return sorted(known)[::step]


def percentiles(records: Sequence[Record], name: str, share: float, until_s: float) -> Points:
    """The same as a percentile of each bin that has requests, at its middle."""
    bins: dict[int, list[float]] = {}
    for each in records:
        if (value := getattr(each, name)) is not None:
            bins.setdefault(_bin(each.intended_at_s, until_s), []).append(value)
    width_s = until_s / BINS
    return [((n + 0.5) * width_s, percentile(bins[n], share)) for n in sorted(bins)]


def highest(
    samples: Sequence[Sample], of: Callable[[Sample], float | None], until_s: float
) -> Points:
    """A level of the endpoint: the highest look of each bin, so that no peak is lost."""
    bins: dict[int, tuple[float, float]] = {}
    for each in samples:
        value = of(each)
        place = _bin(each.at_s, until_s)
        if value is not None and (place not in bins or value > bins[place][1]):
            bins[place] = (each.at_s, value)
    return [bins[place] for place in sorted(bins)]


def per_second(samples: Sequence[Sample], outcome: str, until_s: float) -> Points:
    """How often admission decided so, per second between the last looks of two bins."""
    last = {_bin(each.at_s, until_s): each for each in samples if each.decisions}
    ordered = [last[place] for place in sorted(last)]
    return [
        (
            (before.at_s + after.at_s) / 2,
            max(0, after.decisions.get(outcome, 0) - before.decisions.get(outcome, 0))
            / (after.at_s - before.at_s),
        )
        for before, after in pairwise(ordered)
    ]


def _bin(at_s: float, until_s: float) -> int:
    return min(BINS - 1, max(0, int(at_s / until_s * BINS)))
