"""When first tokens were foreseen and when they came: by how much the forecast errs."""

from collections import deque
from collections.abc import Sequence
from statistics import fmean, quantiles

_REMEMBERED = 100  # first tokens; a few minutes of traffic
_REMEMBERED_S = 120.0  # a margin that keeps everybody out would otherwise never be proved wrong
_ENOUGH = 10  # fewer say nothing
_ONE_LATE_IN = 10  # of the remembered: that one may come later than the margin allows


class FirstTokens:
    """Forecasts by row, from the grant of a lease until its first token."""

    def __init__(self) -> None:
        self._due: dict[int, float] = {}
        self._errors: deque[tuple[float, float]] = deque(maxlen=_REMEMBERED)  # when, by how much
        self.margin_s = 0.0  # what to add so that few come later
        self.error_s: float | None = None  # mean size of the error; None while too few are known

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
        self.margin_s = 0.0

    def see(self, rows: Sequence[int], now_s: float) -> None:
        """These have their first token; rows not expected are passed over."""
        late_s = [now_s - self._due.pop(row) for row in rows if row in self._due]
        if not late_s:
            return
        self._errors.extend((now_s, late) for late in late_s)
        while self._errors[0][0] < now_s - _REMEMBERED_S:
            self._errors.popleft()
        self._judge()

    def _judge(self) -> None:
        if len(self._errors) < _ENOUGH:
            self.margin_s = 0.0
            return
        errors = [late for _, late in self._errors]
        self.error_s = fmean(map(abs, errors))
        self.margin_s = max(0.0, quantiles(errors, n=_ONE_LATE_IN, method="inclusive")[-1])
