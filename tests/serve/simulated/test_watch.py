"""A simulated run that cannot be trusted says so once."""

import logging
from typing import Any

import pytest

from serve.simulated.watch import Watch


async def test_a_run_is_called_invalid_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    reports = [
        {"valid": True, "late_steps_ratio": 0.01},
        {"valid": False, "late_steps_ratio": 0.08},
        {"valid": False, "late_steps_ratio": 0.09},
    ]

    async def ask() -> dict[str, Any]:
        return reports.pop(0)

    watch = Watch(ask)
    assert watch.report is None
    for _ in range(3):
        await watch.look()
    assert watch.report == {"valid": False, "late_steps_ratio": 0.09}
    assert [record.getMessage()[:38] for record in caplog.records] == [
        "this run is invalid: 8 % of the simula"
    ]
