"""Calibration of predicted lengths: the shares of completions not longer than predicted.

A completion whose prediction is its own limit could not have been longer and is left out.
"""

from collections import deque

from admission.price.lengths import Prediction

_REMEMBERED = 400  # answers: a share of 0.9 is then known to 1.5 points
_ENOUGH = 100  # fewer say nothing
ALARM_RATIO = 0.05  # off by more, the traffic has changed or the classes are the wrong ones


class Share:
    """Share of recent completions not longer than predicted, of those that could have been."""

    def __init__(self) -> None:
        self._kept: deque[bool] = deque(maxlen=_REMEMBERED)

    def note(self, predicted_tokens: int, output_tokens: int, *, limit: int) -> None:
        """One answer ended."""
        if predicted_tokens < limit:
            self._kept.append(output_tokens <= predicted_tokens)

    @property
    def ratio(self) -> float | None:
        """None while too few have ended."""
        return sum(self._kept) / len(self._kept) if len(self._kept) >= _ENOUGH else None


class Coverage:
    """Over all classes; answers that were priced before their class was known are left out."""

    def __init__(self) -> None:
        self.median = Share()
        self.price = Share()

    def note(self, predicted: Prediction, output_tokens: int, *, limit: int) -> None:
        """An answer ended, by itself or at its limit."""
        if predicted.samples:
            self.median.note(predicted.median_tokens, output_tokens, limit=limit)
            self.price.note(predicted.tokens, output_tokens, limit=limit)

    def alarm(self, price_quantile: float) -> bool:
        """Whether either share is further from what it should be than `ALARM_RATIO`."""
        shares = ((self.median.ratio, 0.5), (self.price.ratio, price_quantile))
        return any(
            ratio is not None and abs(ratio - quantile) > ALARM_RATIO for ratio, quantile in shares
        )
