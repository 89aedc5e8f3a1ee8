"""When first tokens were foreseen and when they came: by how much the forecast errs."""

from collections import deque
from collections.abc import Sequence
from statistics import fmean, quantiles

_REMEMBERED = 100  # first tokens; a few minutes of traffic
_ENOUGH = 10  # fewer say nothing
_ONE_LATE_IN = 10  # of the remembered: that one may come later than the margin allows


class FirstTokens:
    """Forecasts by row, from the grant of a lease until its first token."""

    def __init__(self) -> None:
        self._due: dict[int, float] = {}
        self._errors: deque[float] = deque(maxlen=_REMEMBERED)  # seconds later than foreseen
        self.margin_s = 0.0  # what to add so that few come later
        self.error_s: float | None = None  # mean size of the error; None while too few are known

    def expect(self, row: int, at_s: float) -> None:
        """The first token of a sequence is foreseen for this instant."""
        self._due[row] = at_s

    def forget(self, row: int) -> None:
        """The sequence is over, whether it had begun or not."""
        self._due.pop(row, None)

    def see(self, rows: Sequence[int], now_s: float) -> None:
        """These have their first token; rows not expected are passed over."""
        late_s = [now_s - self._due.pop(row) for row in rows if row in self._due]
        self._errors.extend(late_s)
        if late_s and len(self._errors) >= _ENOUGH:
            self.error_s = fmean(map(abs, self._errors))
            self.margin_s = max(
                0.0, quantiles(self._errors, n=_ONE_LATE_IN, method="inclusive")[-1]
            )
