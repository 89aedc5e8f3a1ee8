"""The table of docs/reference/metrics.md: `python -m serve.observability.metrics_doc FILE`."""

import sys
from collections.abc import Iterator
from pathlib import Path

from serve.doc_tables import Tables, rewrite
from serve.observability.fault_counts import FaultCounts
from serve.observability.metric_table import EVENTS, READINGS


def metrics_table() -> Iterator[str]:
    """Every `sluice_` metric under its name in a scrape."""
    (faults,) = FaultCounts(Path()).collect()
    theirs = (faults.name, faults.type, faults.documentation, ("part",))
    ours = [(each.name, each.kind, each.help, each.labels) for each in (*EVENTS, *READINGS)]
    yield "| metric | type | labels | what it says |"
    yield "|---|---|---|---|"
    for family, kind, text, names in sorted([*ours, theirs]):
        name = f"{family}_total" if kind == "counter" else family
        labels = ", ".join(f"`{label}`" for label in sorted(names)) or "-"
        yield f"| `{name}` | {kind} | {labels} | {text} |"


TABLES: Tables = {"metrics": metrics_table}


if __name__ == "__main__":
    usage = "python -m serve.observability.metrics_doc docs/reference/metrics.md"
    raise SystemExit(rewrite(sys.argv[1:], TABLES, usage=usage))
