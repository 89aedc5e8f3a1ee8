"""What the tests of `sluice limit` share."""

import pytest

from loadtests.client import watch
from loadtests.limit import bench, rounds


@pytest.fixture(autouse=True)
def busy_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether this machine could measure a real endpoint is not what is tested."""
    monkeypatch.setattr(watch, "LAG_P99_MOST_S", 60.0)
    monkeypatch.setattr(watch, "STOOD_STILL_MOST_S", 60.0)
    monkeypatch.setattr(watch, "CPU_MOST_RATIO", 60.0)
    monkeypatch.setattr(rounds, "LOOK_S", 0.03)
    monkeypatch.setattr(bench, "require_reader", lambda: None)  # tried in test_client.py
