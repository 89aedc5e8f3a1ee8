"""How long answers get, learned from answers of which some were cut off by their limit.

An answer that ran into `max_tokens` says only that it would have been at least that long. Taken for
an end it would teach that no completion is longer, and a request with a higher limit would be
priced too low. The Kaplan-Meier estimator (1958) counts it as running up to its cut:
S(t) is the product, over the ends at or before t, of 1 - 1 / (lengths not shorter).

While a class has few ends, most of these are short completions. So running ones count too, as cut
at their present length. A running completion longer than every ended one is assumed to be half
done.
"""

import math
from array import array
from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Callable, Iterable
from functools import lru_cache

import numpy as np
import numpy.typing as npt

RECENT = 400  # enough for a stable q95, few enough to follow a shift within minutes
_ROUNDING = 1e-9  # S is a product of floats; a share met exactly must count as met
_NEVER = 1 << 62  # length of completions whose end was never seen


class RecentLengths:
    """The last `RECENT` lengths of one class, and the share S(t) that is longer than t tokens."""

    __slots__ = ("_curve", "_order", "_ranked", "_running", "count")

    def __init__(self, running: Callable[[], Iterable[int]] = tuple) -> None:
        """`running` returns the tokens so far of each running completion of the class."""
        self.count = 0
        self._running = running
        self._order: deque[int] = deque()
        self._ranked = array("q")  # 2 x tokens, + 1 for a cut: at the same length ends come first
        self._curve: Survival | None = None

    def add(self, tokens: int, *, cut: bool) -> None:
        """One more answer of `tokens`; the oldest is forgotten."""
        code = 2 * tokens + cut
        if self.count == RECENT:
            del self._ranked[bisect_right(self._ranked, self._order.popleft()) - 1]
            self.count -= 1
        self.count += 1
        self._order.append(code)
        insort(self._ranked, code)
        self._curve = None

    def longer_than(self, tokens: int) -> int:
        """Number of lengths that were longer, or are assumed to be."""
        return self.survival.longer_than(tokens)

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
            settled = self.count == RECENT  # long completions are known as well as short ones
            self._curve = Survival(np.array(self._ranked if settled else self._with_running()))
        return self._curve

    def _with_running(self) -> list[int]:
        longest = self._ranked[-1] // 2 if self._ranked else 0
        begun = (tokens for tokens in self._running() if tokens)
        codes = (2 * tokens + 1 if tokens < longest else 4 * tokens for tokens in begun)
        return sorted((*self._ranked, *codes))


class Survival:
    """S(t) at every length seen, from t = 0.

    Lists serve single look-ups, arrays many: a numpy call costs as much as ten of `bisect`.
    """

    __slots__ = ("_area", "_at", "_cut", "_falling", "_from_below", "_parts", "_tokens")

    def __init__(self, ranked: npt.NDArray[np.int64]) -> None:
        self._cut = (ranked & 1).astype(bool).tobytes()
        self._from_below, self._falling = _shares(self._cut)
        self._at = np.zeros(ranked.size + 1, dtype=np.int64)
        np.right_shift(ranked, 1, out=self._at[1:])
        self._tokens: list[int] = self._at.tolist()
        self._area: float | None = None  # under S until the last length
        self._parts: dict[tuple[int, int], list[int]] = {}  # by how many, and above what

    def longest(self, limit: int) -> int:
        """Length that no answer passes: `limit` where those that were cut do not say."""
        return limit if self._falling[-1] else min(limit, self._tokens[-1])

    def longer_than(self, tokens: int) -> int:
        """How many of the lengths it is made of are longer."""
        return len(self._tokens) - 1 - self._place_of(tokens)

    def share_longer(self, tokens: int) -> float:
        """S at one length."""
        return -self._falling[bisect_right(self._tokens, tokens) - 1]

    def shares_longer(self, tokens: npt.NDArray[np.int64], out: npt.NDArray[np.float64]) -> None:
        """Write S at several lengths; 1 below 0."""
        self._from_below.take(self._at.searchsorted(tokens, "right"), out=out, mode="clip")

    def quantile(self, q: float, *, limit: int, above: int) -> int:
        """As `RecentLengths.quantile`."""
        return min(limit, self._ends_below(1.0 - q, above))

    def parts(self, count: int, *, limit: int, above: int) -> list[int]:
        """As `RecentLengths.parts`."""
        lengths = self._parts.get((count, above))
        if lengths is None:
            places = _middles(self._cut, count, self._place_of(above))
            lengths = self._parts[count, above] = [self._length_at(place) for place in places]
        return lengths if lengths[-1] <= limit else [min(limit, tokens) for tokens in lengths]

    def _ends_below(self, share: float, above: int) -> int:
        """Where S falls below a share of what it is at `above`; to meet it is enough."""
        return self._length_at(_below(self._falling, share, self._place_of(above)))

    def _place_of(self, tokens: int) -> int:
        """Of the last length seen that is no longer; 0 where there is none."""
        return bisect_right(self._tokens, tokens, 1) - 1 if tokens >= 0 else 0

    def _length_at(self, place: int) -> int:
        return self._tokens[place] if place < len(self._tokens) else _NEVER

    def mean(self, limit: int) -> int:
        """As `RecentLengths.mean`."""
        last = bisect_left(self._tokens, limit) - 1
        if last < 0:
            return 0
        if last < len(self._tokens) - 1:
            area = self._area_until(last)
        else:
            area = self._area = self._area_until(last) if self._area is None else self._area
        beyond = -self._falling[last] * (limit - self._tokens[last])
        return math.ceil(area + beyond - _ROUNDING)

    def _area_until(self, last: int) -> float:
        widths = self._at[1 : last + 1] - self._at[:last]
        return float(widths @ self._from_below[1 : last + 1])


@lru_cache(maxsize=64)
def _shares(cut: bytes) -> tuple[npt.NDArray[np.float64], list[float]]:
    """S by which lengths were cut, the shortest first: before 0, at 0, at each; and -S from 0 on.

    How long they were does not matter, so where none was cut all classes have the same.
    """
    ended = ~np.frombuffer(cut, dtype=bool)
    from_below = np.ones(ended.size + 2)
    np.cumprod(1.0 - ended / np.arange(ended.size, 0, -1), out=from_below[2:])
    return from_below, (-from_below[1:]).tolist()


def _below(falling: list[float], share: float, start: int) -> int:
    """The place where S falls below a share of what it is at `start`; to meet it is enough."""
    return bisect_right(falling, share * (falling[start] * (1.0 - _ROUNDING)))


@lru_cache(maxsize=256)
def _middles(cut: bytes, count: int, start: int) -> list[int]:
    """Places of the middles of `count` equal parts of the lengths beyond `start`."""
    _, falling = _shares(cut)
    return [_below(falling, 1.0 - (part + 0.5) / count, start) for part in range(count)]
