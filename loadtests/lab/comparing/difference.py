"""Confidence that one policy served more than another: a bootstrap over paired requests."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

_DRAWS = 4000
_ENDS = (0.025, 0.975)  # of the interval: 95 %


class PairedDifference(NamedTuple):
    """The difference in the share of offered requests served, and its 95 % interval."""

    share: float
    low: float
    high: float


def difference(ours: Sequence[bool], theirs: Sequence[bool], *, seed: int) -> PairedDifference:
    """The difference from two lists, over the same requests, of whether each was served in time.

    A resample needs only two counts: requests that only one served, and that only the other did.
    """
    gained = np.asarray(ours, dtype=np.int8) - np.asarray(theirs, dtype=np.int8)
    count = gained.size
    shares = [float(np.mean(gained == value)) for value in (1, -1, 0)]
    drawn = np.random.default_rng(seed).multinomial(count, shares, size=_DRAWS)
    low, high = np.quantile((drawn[:, 0] - drawn[:, 1]) / count, _ENDS)
    return PairedDifference(float(gained.mean()), float(low), float(high))
