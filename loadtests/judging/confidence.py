"""Confidence intervals of shares."""

import math

# Concurrent requests are correlated, so n of them carry less information than n independent ones.
# Three count as one. This was set on simulated searches with a correlation of 1 % (with two, 78 %
# of the intervals at the softest edge held the truth); repeated rounds on one engine may refine it.
DESIGN_EFFECT = 3.0
Z_95 = 1.959963984540054  # standard normal deviate with 2.5 % above it


def wilson(kept: float, of: float, z: float = Z_95) -> tuple[float, float]:
    """Interval of a share `kept / of`, valid near 0 and 1 (Wilson 1927); (0, 1) if `of` is 0."""
    if not 0 <= kept <= of:
        raise ValueError(f"{kept} of {of} is no share")
    if of == 0:
        return 0.0, 1.0
    share, spread = kept / of, z * z / of
    middle = (share + spread / 2) / (1 + spread)
    half = z * math.sqrt(share * (1 - share) / of + spread / (4 * of)) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)
