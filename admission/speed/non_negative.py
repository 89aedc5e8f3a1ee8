"""Exact non-negative least squares of a few terms: of all subsets of them the best feasible."""

from itertools import combinations

import numpy as np
import numpy.typing as npt

_RIDGE = 1e-9  # of a term: splits evenly between two that the data cannot separate

_Floats = npt.NDArray[np.float64]


def solve(gram: _Floats, projected: _Floats) -> _Floats:
    """The c >= 0 with the least c'Gc - 2p'c, for a symmetric `gram` G of at most a handful terms.

    A term without evidence (0 on the diagonal) stays 0.
    """
    sizes = np.sqrt(np.diagonal(gram))
    sizes[sizes == 0] = 1.0
    gram = gram / np.outer(sizes, sizes) + _RIDGE * np.eye(sizes.size)
    projected = projected / sizes
    terms = range(projected.size)
    best: _Floats = np.zeros(projected.size)
    least = 0.0
    for count in range(projected.size, 0, -1):
        for chosen in map(list, combinations(terms, count)):
            part = np.linalg.solve(gram[np.ix_(chosen, chosen)], projected[chosen])
            gain = -float(part @ projected[chosen])  # residual less that of all zeros
            if part.min() >= 0 and gain < least:
                best, least = np.zeros(projected.size), gain
                best[chosen] = part
        if count == projected.size and best.any():
            break  # nothing had to be cut off: no subset is better
    best /= sizes
    return best
