"""The table of docs/reference/metrics.md: `python -m serve.observability.metrics_doc FILE`."""

import sys
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry

from serve.doc_tables import Tables, rewrite
from serve.observability.fault_counts import FaultCounts
from serve.observability.telemetry import Metrics

_OF_BUCKETS = "le"


def metrics_table() -> Iterator[str]:
    """Every `sluice_` metric under its name in a scrape."""
    registry = Metrics(CollectorRegistry()).registry
    registry.register(FaultCounts(Path()))
    yield "| metric | type | labels | what it says |"
    yield "|---|---|---|---|"
    for family in sorted(registry.collect(), key=lambda each: each.name):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        used = {label for sample in family.samples for label in sample.labels} - {_OF_BUCKETS}
        labels = ", ".join(f"`{label}`" for label in sorted(used)) or "-"
        yield f"| `{name}` | {family.type} | {labels} | {family.documentation} |"


TABLES: Tables = {"metrics": metrics_table}


if __name__ == "__main__":
    usage = "python -m serve.observability.metrics_doc docs/reference/metrics.md"
    raise SystemExit(rewrite(sys.argv[1:], TABLES, usage=usage))
