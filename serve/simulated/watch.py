"""Whether a simulated engine keeps its time: what a run on it is worth."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from serve.simulated.timekeeper import INVALID_RATIO

_log = logging.getLogger("sluice.simulation")


class Watch:
    """The last report of the executor; a run with too many late steps is called invalid, once."""

    def __init__(self, ask: Callable[[], Awaitable[dict[str, Any]]]) -> None:
        self._ask = ask
        self._valid = True
        self.report: dict[str, Any] | None = None

    async def look(self) -> dict[str, Any]:
        """Ask the executor; returns what `Timekeeper.report` says."""
        self.report = report = await self._ask()
        valid = bool(report["valid"])
        if self._valid and not valid:
            _log.warning(
                "this run is invalid: %.0f %% of the simulated steps ended late (limit %.0f %%);"
                " lower simulation.speed, or leave the machine more CPU",
                100 * report["late_steps_ratio"],
                100 * INVALID_RATIO,
            )
        self._valid = valid
        return report
