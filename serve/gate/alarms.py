"""What admission believes and what goes wrong with it: as metrics, and once each in the log."""

import logging

from admission.controller import Controller
from serve.observability.telemetry import Metrics

_log = logging.getLogger("sluice.gate")

_SILENT = "sequences run and no step of the engine is reported: %s"
_NO_USAGE = "the engine does not say how much KV cache it uses: %s"
_OUTLIER = (
    "a step took %.2f s and was expected to take %.3f s; nothing is learned of it (%d so far)"
)
_LENGTHS = "answers are not as long as predicted (median %s, price %s of them no longer): %s"


class Alarms:
    """Looks at one controller."""

    def __init__(self, controller: Controller, metrics: Metrics) -> None:
        self._controller = controller
        self._metrics = metrics
        self._on: dict[str, bool] = {}
        self._outliers = 0

    def look(self) -> None:
        """Set the metrics; log what has changed since the last look."""
        controller, metrics = self._controller, self._metrics
        metrics.engine_silent(controller.heartbeat.silent_s)
        margin, coverage, fresh = controller.margin, controller.coverage, controller.freshness
        metrics.beliefs(
            step_error_ratio=controller.step_times.error_ratio,
            promised_ratio=margin.promised_ratio,
            bias_ratio=margin.bias_ratio,
            covered_median_ratio=coverage.median.ratio,
            covered_price_ratio=coverage.price.ratio,
            stale=fresh.stale,
        )
        self._tell_outliers()
        alone = "the ledger stands alone and keeps 5 % of the blocks back"
        self._say(_SILENT, on=fresh.silent, means=alone)
        self._say(_NO_USAGE, on=fresh.usage_missing, means=alone)
        shares = (coverage.median.ratio, coverage.price.ratio)
        told = [_LENGTHS, *("-" if share is None else f"{share:.2f}" for share in shares)]
        off = coverage.alarm(controller.settings.output_quantile)
        self._say(*told, on=off, means="the traffic has changed")

    def _tell_outliers(self) -> None:
        outliers = self._controller.step_outliers
        self._metrics.step_outliers(outliers.count - self._outliers)
        if outliers.last is not None and outliers.count > self._outliers:
            last = outliers.last
            _log.warning(_OUTLIER, last.measured_s, last.expected_s, outliers.count)
        self._outliers = outliers.count

    def _say(self, what: str, *values: str, on: bool, means: str) -> None:
        if on == self._on.get(what, False):
            return
        self._on[what] = on
        if on:
            _log.warning(what, *values, means)
        else:
            _log.info(what, *values, "over")
