"""Predicted against measured TTFT, and the margin that predictions need."""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Sequence
from statistics import fmean

_REMEMBERED = 100  # first tokens; a few minutes of traffic
_REMEMBERED_S = 120.0  # a margin that keeps every request out would otherwise never be proved wrong
_ENOUGH = 10  # fewer say nothing
_ONE_LATE_IN = 10  # of the remembered: that one may come later than the margin allows


class FirstTokens:
    """Forecasts by row, from the grant of a lease until its first token."""

    def __init__(self) -> None:
        self._due: dict[int, float] = {}
        self._errors: deque[tuple[float, float]] = deque()  # when, by how much
        self._ranked: list[float] = []  # by how much alone, the earliest first
        self.margin_s = 0.0  # what to add so that few come later

    @property
    def error_s(self) -> float | None:
        """Mean absolute error; None while too few are known."""
        return fmean(map(abs, self._ranked)) if len(self._ranked) >= _ENOUGH else None

    def expect(self, row: int, at_s: float) -> None:
        """The first token of a sequence is foreseen for this instant."""
        self._due[row] = at_s

    def forget(self, row: int) -> None:
        """The sequence is over, whether it had begun or not."""
        self._due.pop(row, None)

    def start_over(self) -> None:
        """What forecasts are made by has changed: those made before say nothing of later ones."""
        self._due.clear()
        self._errors.clear()
        self._ranked.clear()
        self.margin_s = 0.0

    def see(self, rows: Sequence[int], now_s: float) -> None:
        """These have their first token; rows not expected are passed over."""
        late_s = [now_s - self._due.pop(row) for row in rows if row in self._due]
        if not late_s:
            return
        for late in late_s:
            self._errors.append((now_s, late))
            insort(self._ranked, late)
        while len(self._errors) > _REMEMBERED or self._errors[0][0] < now_s - _REMEMBERED_S:
            _, late = self._errors.popleft()
            del self._ranked[bisect_left(self._ranked, late)]
        enough = len(self._ranked) >= _ENOUGH
        self.margin_s = max(0.0, self._exceeded_by_few()) if enough else 0.0

    def _exceeded_by_few(self) -> float:
        """The last of the `_ONE_LATE_IN`-quantiles, between the two errors next to it."""
        place, rest = divmod((_ONE_LATE_IN - 1) * (len(self._ranked) - 1), _ONE_LATE_IN)
        below, above = self._ranked[place : place + 2]
        return (below * (_ONE_LATE_IN - rest) + above * rest) / _ONE_LATE_IN
