"""The outputs that a profile turns on, beside the metrics: traces and logs."""

from dataclasses import dataclass

from serve.observability.fault_counts import show_fault_counts
from serve.observability.json_lines import JsonLines
from serve.observability.metric_table import LOG_LINES_DROPPED
from serve.observability.metrics import Metrics
from serve.observability.tracing import Tracing, start_tracing
from serve.profile.sections import TelemetrySection


@dataclass(frozen=True, slots=True)
class Telemetry:
    """Everything that tells what the gateway does, none of it the text of a request."""

    metrics: Metrics
    tracing: Tracing
    access_log: JsonLines | None = None
    decision_log: JsonLines | None = None

    def reopen(self) -> None:
        """Continues both logs in the files that have their names now: after a rotation."""
        for log in self._logs():
            log.reopen()

    def log_lines_dropped(self) -> dict[str, int]:
        """Lines lost since the start, by log."""
        logs = {"access": self.access_log, "decision": self.decision_log}
        return {name: log.dropped for name, log in logs.items() if log is not None}

    def close(self) -> None:
        """Writes and sends what is still buffered."""
        self.tracing.close()
        for log in self._logs():
            log.close()

    def _logs(self) -> list[JsonLines]:
        return [log for log in (self.access_log, self.decision_log) if log is not None]


def start_telemetry(section: TelemetrySection) -> Telemetry:
    """Metrics always; traces and logs as the profile says. Once per process.

    Raises OSError when a log cannot be opened.
    """
    metrics = Metrics()
    show_fault_counts(metrics.registry)

    def log(name: str, destination: str | None) -> JsonLines | None:
        if destination is None:
            return None
        return JsonLines(
            destination,
            max_bytes=section.log_max_bytes,
            kept=section.log_kept,
            on_lost=lambda lines: metrics.count(LOG_LINES_DROPPED, name, by=lines),
        )

    return Telemetry(
        metrics,
        start_tracing(section.otlp_endpoint),
        access_log=log("access", section.access_log),
        decision_log=log("decision", section.decision_log),
    )
