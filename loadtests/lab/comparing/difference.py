"""How sure it is that one policy served more than another: a bootstrap over paired requests."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

_DRAWS = 4000
_ENDS = (0.025, 0.975)  # of the interval: 95 %


class PairedDifference(NamedTuple):
    """Share of all offered that one served more than the other, and its 95 % interval."""

    share: float
    low: float
    high: float


def difference(ours: Sequence[bool], theirs: Sequence[bool], *, seed: int) -> PairedDifference:
    """Both hold the same requests in the same order: whether each was served in time.

    A resample is told by how many requests only the one served and how many only the other.
    """
    gained = np.asarray(ours, dtype=np.int8) - np.asarray(theirs, dtype=np.int8)
    count = gained.size
    shares = [float(np.mean(gained == value)) for value in (1, -1, 0)]
    drawn = np.random.default_rng(seed).multinomial(count, shares, size=_DRAWS)
    low, high = np.quantile((drawn[:, 0] - drawn[:, 1]) / count, _ENDS)
    return PairedDifference(float(gained.mean()), float(low), float(high))
