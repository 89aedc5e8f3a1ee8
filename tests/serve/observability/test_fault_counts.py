"""Faults that `sluice serve` tells of, as a metric of its replicas."""

import io
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from serve.observability import fault_counts
from serve.process import daemons, events, serving
from serve.process.events import Events, Fault
from serve.process.progress import Progress


def test_what_the_launcher_counts_is_what_a_replica_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "counts.json"
    monkeypatch.setenv(events.COUNTS, str(file))
    registry = CollectorRegistry()
    fault_counts.show_fault_counts(registry)

    def shown(part: str) -> float | None:
        return registry.get_sample_value("sluice_faults_total", {"part": part})

    assert shown("haproxy") == 0
    told = Events(Progress(io.StringIO()), tmp_path / "sluice.log", file)
    told.tell(Fault("haproxy", "HAProxy has ended"))
    told.tell(Fault("haproxy", "HAProxy has ended"))
    told.tell("serving again")
    assert (shown("haproxy"), shown("replica")) == (2, 0)
    assert "HAProxy has ended" in (tmp_path / "sluice.log").read_text()


def test_a_gateway_that_others_started_has_no_such_metric(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(events.COUNTS, raising=False)
    registry = CollectorRegistry()
    fault_counts.show_fault_counts(registry)
    assert list(registry.collect()) == []


def test_both_sides_have_the_same_names() -> None:
    assert fault_counts.COUNTS == events.COUNTS
    told = {text.kind for text in serving._TOLD.values() if isinstance(text, Fault)}
    told |= {*daemons.KINDS.values(), "haproxy", "haproxy_silent"}
    assert set(fault_counts.KINDS) == told
    assert daemons.KINDS.keys() == {*daemons.NEEDED.values(), *daemons.REPLACED.values()}
