"""What goes wrong between admission and its engine: each change is one line of the log."""

import logging

from admission.snapshot import CoverageReading, Snapshot, SpeedReading

_log = logging.getLogger("sluice.gate")

_STEPS_MISSING = "sequences run and the engine reports no steps: %s"
_USAGE_MISSING = "the engine does not report its KV cache usage: %s"
_ALONE = "admission relies on the ledger alone and keeps 5 % of the KV blocks in reserve"
_OUTLIER = "a step took %.2f s, predicted %.3f s; it is ignored as an outlier (%d so far)"
_LENGTHS = "completions are not as long as predicted (share within median %s, within price %s): %s"
_CHANGED = "the traffic has changed"


class Alarms:
    """Follows the snapshots of one controller."""

    def __init__(self) -> None:
        self._on: dict[str, bool] = {}
        self._outliers = 0

    def look(self, seen: Snapshot) -> None:
        """Log what has changed since the last look."""
        self._tell_outliers(seen.speed)
        self._say(_STEPS_MISSING, on=seen.signs.steps_missing, means=_ALONE)
        self._say(_USAGE_MISSING, on=seen.signs.usage_missing, means=_ALONE)
        self._tell_lengths(seen.coverage)

    def _tell_outliers(self, speed: SpeedReading) -> None:
        last = speed.last_outlier
        if last is not None and speed.outliers > self._outliers:
            _log.warning(_OUTLIER, last.measured_s, last.expected_s, speed.outliers)
        self._outliers = speed.outliers

    def _tell_lengths(self, coverage: CoverageReading) -> None:
        ratios = (coverage.median_ratio, coverage.price_ratio)
        shares = ("-" if share is None else f"{share:.2f}" for share in ratios)
        self._say(_LENGTHS, *shares, on=coverage.alarm, means=_CHANGED)

    def _say(self, what: str, *values: str, on: bool, means: str) -> None:
        if on == self._on.get(what, False):
            return
        self._on[what] = on
        if on:
            _log.warning(what, *values, means)
        else:
            _log.info(what, *values, "over")
