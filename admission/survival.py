"""How long answers get, learned from answers of which some were cut off by their limit.

An answer that ran into `max_tokens` says only that it would have been at least that long. Taken for
an end it would teach that nobody writes more, and a request with a higher limit would be priced too
low. The Kaplan-Meier estimator (1958) keeps it among the living up to its cut and not beyond:
S(t) is the product, over the ends at or before t, of 1 - 1 / (lengths not shorter).
"""

import math
from array import array
from bisect import bisect_right, insort
from collections import deque
from functools import cache

import numpy as np
import numpy.typing as npt

RECENT = 400  # enough for a stable q95, few enough to follow a shift within minutes
_ROUNDING = 1e-9  # S is a product of floats; a share met exactly must count as met
_NEVER = 1 << 62  # tokens at which those end that were never seen to


class RecentLengths:
    """The last `RECENT` lengths of one class, and the share S(t) that is longer than t tokens."""

    __slots__ = ("_curve", "_order", "_ranked")

    def __init__(self) -> None:
        self._order: deque[int] = deque()
        self._ranked = array("q")  # 2 x tokens, + 1 for a cut: at the same length ends come first
        self._curve: Survival | None = None

    def __len__(self) -> int:
        return len(self._order)

    def add(self, tokens: int, *, cut: bool) -> None:
        """One more answer of `tokens`; the oldest is forgotten."""
        code = 2 * tokens + cut
        if len(self._order) == RECENT:
            del self._ranked[bisect_right(self._ranked, self._order.popleft()) - 1]
        self._order.append(code)
        insort(self._ranked, code)
        self._curve = None

    def longer_than(self, tokens: int) -> int:
        """How many were longer."""
        return len(self._ranked) - bisect_right(self._ranked, 2 * tokens + 1)

    def quantile(self, q: float, *, limit: int, above: int = -1) -> int:
        """Shortest length that a share `q` of those longer than `above` does not pass.

        `limit` where none below it is so long.
        """
        return self.survival.quantile(q, limit=limit, above=above)

    def parts(self, count: int, *, limit: int, above: int = -1) -> list[int]:
        """Lengths in the middles of `count` equal shares of those longer than `above`."""
        return self.survival.parts(count, limit=limit, above=above)

    def mean(self, *, limit: int) -> int:
        """Expected length of an answer cut off at `limit`, rounded up."""
        return self.survival.mean(limit)

    @property
    def survival(self) -> "Survival":
        """The curve of what was learned until now; it does not change any more."""
        if self._curve is None:
            self._curve = Survival(np.array(self._ranked))
        return self._curve


class Survival:
    """S(t) at every length seen, from t = 0; what is asked of it again is worked out once."""

    __slots__ = ("_area", "_ends", "_falling", "_from_below", "_told", "longer", "tokens")

    def __init__(self, ranked: npt.NDArray[np.int64]) -> None:
        at_risk = np.arange(ranked.size, 0, -1)
        self._from_below = np.ones(ranked.size + 2)  # 1 before the first length, too
        self.longer = self._from_below[1:]
        np.cumprod(1.0 - (ranked & 1 == 0) / at_risk, out=self.longer[1:])
        self._falling = -self.longer  # ascends
        self._ends = np.full(ranked.size + 2, _NEVER)  # after the last length, too
        self.tokens = self._ends[:-1]
        self.tokens[0] = 0
        np.right_shift(ranked, 1, out=self.tokens[1:])
        self._area: float | None = None  # under S until the last length
        self._told: dict[tuple[float, int], list[int]] = {}  # by quantile or parts, and above what

    def longest(self, limit: int) -> int:
        """Length that no answer passes: `limit` where those that were cut do not say."""
        return limit if self.longer[-1] else min(limit, int(self.tokens[-1]))

    def share_longer(self, tokens: int) -> float:
        """S at one length."""
        return float(self._from_below[self.tokens.searchsorted(tokens, "right")])

    def shares_longer(self, tokens: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """S at several lengths; 1 below 0."""
        return self._from_below.take(self.tokens.searchsorted(tokens, "right"))

    def quantile(self, q: float, *, limit: int, above: int) -> int:
        """As `RecentLengths.quantile`."""
        key = (q, above)
        if key not in self._told:
            self._told[key] = [int(self._ends_below(1.0 - q, above))]
        return min(limit, self._told[key][0])

    def parts(self, count: int, *, limit: int, above: int) -> list[int]:
        """As `RecentLengths.parts`."""
        key = (count, above)
        if key not in self._told:
            self._told[key] = self._ends_below(_middles(count), above).tolist()
        return [min(limit, tokens) for tokens in self._told[key]]

    def _ends_below(
        self, shares: float | npt.NDArray[np.float64], above: int
    ) -> npt.NDArray[np.int64]:
        """Where S falls below these shares of what it is at `above`; to meet them is enough."""
        start = self.tokens[1:].searchsorted(above, "right") if above >= 0 else 0
        enough = float(self.longer[start]) * (1.0 - _ROUNDING)
        return self._ends[self._falling.searchsorted(shares * -enough, "right")]

    def mean(self, limit: int) -> int:
        """As `RecentLengths.mean`."""
        last = int(self.tokens.searchsorted(limit, "left")) - 1
        if last < 0:
            return 0
        if last < self.tokens.size - 1:
            area = self._area_until(last)
        else:
            area = self._area = self._area_until(last) if self._area is None else self._area
        beyond = float(self.longer[last] * (limit - self.tokens[last]))
        return math.ceil(area + beyond - _ROUNDING)

    def _area_until(self, last: int) -> float:
        widths = self.tokens[1 : last + 1] - self.tokens[:last]
        return float(widths @ self.longer[:last])


@cache
def _middles(count: int) -> npt.NDArray[np.float64]:
    """Shares (0-1) longer than the middles of so many equal parts."""
    return 1.0 - (np.arange(count) + 0.5) / count
