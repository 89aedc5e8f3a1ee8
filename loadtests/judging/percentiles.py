"""Percentiles of measured values."""

import math
from collections.abc import Sequence


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` (0-1) of all do not exceed (nearest rank).

    It is always a measured value, never an interpolated one, so `percentile <= bound` means exactly
    that the share kept the bound. ValueError if `values` is empty.
    """
    if not values:
        raise ValueError("no values: no percentile")
    rank = max(1, math.ceil(len(values) * share - _EDGE))
    return sorted(values)[rank - 1]


_EDGE = 1e-9  # 0.95 * 20 is 19.000000000000004 in binary
