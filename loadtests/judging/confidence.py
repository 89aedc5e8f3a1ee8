"""How sure a share is."""

import math

# Requests that run at once suffer together: a batch of them tells less than as many alone. Three
# count as one, set on simulated searches with a correlation of 1 % (two made 78 % of a softest
# edge's intervals hold the truth), until rounds repeated on one engine say better.
DESIGN_EFFECT = 3.0
Z_95 = 1.959963984540054  # standard normal deviate with 2.5 % above it


def wilson(kept: float, of: float, z: float = Z_95) -> tuple[float, float]:
    """Interval of a share `kept / of`: (0, 1) of nothing, honest near 0 and 1 (Wilson 1927)."""
    if not 0 <= kept <= of:
        raise ValueError(f"{kept} of {of} is no share")
    if of == 0:
        return 0.0, 1.0
    share, spread = kept / of, z * z / of
    middle = (share + spread / 2) / (1 + spread)
    half = z * math.sqrt(share * (1 - share) / of + spread / (4 * of)) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)
