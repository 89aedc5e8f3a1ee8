"""Failures of the parts around a replica, as `sluice serve` counts them: one metric."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector, CollectorRegistry

COUNTS = "SLUICE_FAULT_COUNTS"  # as serve/process/events.py names it
KINDS = (
    "controller",
    "controller_silent",
    "gcs",
    "haproxy",
    "haproxy_manager",
    "haproxy_silent",
    "raylet",
    "replica",
)


class FaultCounts(Collector):
    """Reads the counts with every scrape; a kind that never failed is 0."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def collect(self) -> Iterator[CounterMetricFamily]:
        """`sluice_faults_total{part}`."""
        what = "Failures of parts around the engine since `sluice serve` started"
        family = CounterMetricFamily("sluice_faults", what, labels=["part"])
        counts = dict.fromkeys(KINDS, 0) | self._read()
        for kind, count in counts.items():
            family.add_metric([kind], count)
        yield family

    def _read(self) -> dict[str, int]:
        try:
            found: dict[str, int] = json.loads(self._file.read_text())
        except (OSError, ValueError):  # nothing has failed yet
            return {}
        return found


def show_fault_counts(registry: CollectorRegistry) -> None:
    """Under `sluice serve` alone; elsewhere nothing watches these parts."""
    file = os.environ.get(COUNTS)
    if file:
        registry.register(FaultCounts(Path(file)))
