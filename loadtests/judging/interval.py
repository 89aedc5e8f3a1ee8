"""Confidence interval of the limit: where a term's share of good requests falls below its goal.

Every round gives, per term of the SLO, how many of its requests kept the bound. More users never
improve it, so isotonic regression, weighted by requests, makes the shares fall with the users. The
limit is where the first term crosses its required share, by linear interpolation between rounds.
The interval is a parametric bootstrap: it redraws the counts and finds the crossing again.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from loadtests.judging.confidence import DESIGN_EFFECT
from loadtests.judging.percentiles import percentile

_DRAWS = 1000
_TAIL = 0.025  # on each side of a 95 % interval


@dataclass(frozen=True, slots=True)
class Counted:
    """One term in one round: `kept` of `of` requests kept its bound."""

    users: int
    term: str
    needed_ratio: float
    kept: int
    of: int


def limit_interval(rows: Sequence[Counted], limit: int, *, seed: int = 1) -> tuple[int, int]:
    """95 % interval in users around a found limit; it includes the limit."""
    rng = np.random.default_rng(seed)
    terms = sorted({row.term for row in rows})
    drawn = [min(_crossings(rows, terms, rng), default=math.inf) for _ in range(_DRAWS)]
    most = max((row.users for row in rows), default=limit)
    low, high = (min(most, percentile(drawn, share)) for share in (_TAIL, 1 - _TAIL))
    return min(limit, max(0, math.floor(low))), max(limit, math.floor(high))


def _crossings(
    rows: Sequence[Counted], terms: Sequence[str], rng: np.random.Generator
) -> list[float]:
    """The crossing of each term, for one draw of all counts."""
    found = []
    for term in terms:
        mine = sorted((row for row in rows if row.term == term and row.of), key=_users)
        if mine:
            sizes = np.array([max(1, round(row.of / DESIGN_EFFECT)) for row in mine])
            shares = rng.binomial(sizes, [row.kept / row.of for row in mine]) / sizes
            falling = falls(shares.tolist(), sizes.tolist())
            found.append(crossing([row.users for row in mine], falling, mine[0].needed_ratio))
    return found


def _users(row: Counted) -> int:
    return row.users


def falls(values: Sequence[float], weights: Sequence[float]) -> list[float]:
    """The nearest values that never rise (least squares, pool adjacent violators)."""
    pools: list[list[float]] = []  # value, weight, how many
    for value, weight in zip(values, weights, strict=True):
        pools.append([value, weight, 1])
        while len(pools) > 1 and pools[-2][0] < pools[-1][0]:
            after, before = pools.pop(), pools.pop()
            both = before[1] + after[1]
            mean = (before[0] * before[1] + after[0] * after[1]) / both
            pools.append([mean, both, before[2] + after[2]])
    return [value for value, _, count in pools for _ in range(int(count))]


def crossing(users: Sequence[int], shares: Sequence[float], needed: float) -> float:
    """Where falling shares go below `needed`: 0 before the first, inf after the last."""
    before: tuple[int, float] | None = None
    for here, share in zip(users, shares, strict=True):
        if share < needed:
            if before is None:
                return 0.0
            back, was = before
            return back + (here - back) * (was - needed) / (was - share)
        before = (here, share)
    return math.inf
