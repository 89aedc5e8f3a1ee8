"""The gate, and what else its state tells: settings, step times, the plan, a simulation's time."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from admission.speed.linear_steps import StepCoefficients
from admission.speed.step_outliers import StepOutlier
from serve.access.key_ring import KeyRing
from serve.engine_step import EngineStep
from serve.gate.engine_like import EngineLike
from serve.gate.gate import Gate
from serve.gate.step_times import StepTimes
from serve.observability.metric_table import Sources
from serve.profile.in_force import InForce
from serve.profile.plan_agreement import PlanAgreement
from serve.simulated.watch import Watch

_LOOK_S = 1.0  # real seconds between two looks at a simulation's time

_log = logging.getLogger("sluice.gate")


@dataclass(frozen=True, slots=True)
class ServePlace:
    """A replica as Ray Serve names it, and how many there are beside it, itself included."""

    name: str
    replicas: Callable[[], int]


class ReportingGate(Gate):
    """Nothing here decides. `step_prior` is what a step is believed to take before any was timed.

    `watch` is there with a simulated engine only; `log_lines_dropped` counts them by log.
    """

    def __init__(  # noqa: PLR0913 - what its state tells of, each named once
        self,
        engine: EngineLike,
        in_force: InForce,
        ring: KeyRing,
        place: ServePlace,
        *,
        step_prior: StepCoefficients | None,
        plan: PlanAgreement | None,
        watch: Watch | None,
        log_lines_dropped: Callable[[], dict[str, int]] = dict,
        **parts: Any,
    ) -> None:
        super().__init__(engine, in_force.section, **parts)
        self._in_force = in_force
        self._ring = ring
        self._place = place
        self._step_times = StepTimes(engine.shape.capacity_tokens)
        self._step_prior = step_prior
        if step_prior is not None:
            self.controller.know_step_times(step_prior)
        self._plan = plan
        self._watch = watch
        self._log_lines_dropped = log_lines_dropped
        self._looker = self._loop.create_task(self._look_on(watch)) if watch else None

    def stepped(self, step: EngineStep) -> None:
        """As the gate's; the step's time is kept."""
        super().stepped(step)
        self._step_times.note(step)

    async def _look_on(self, watch: Watch) -> None:
        while True:
            await asyncio.sleep(_LOOK_S)
            try:
                await watch.look()
            except Exception:  # noqa: BLE001 - what is told may be old, what is decided goes on
                _log.exception("the simulation's report could not be read")

    async def close(self) -> None:
        """As the gate's."""
        if self._looker is not None:
            self._looker.cancel()
            await asyncio.gather(self._looker, return_exceptions=True)
        await super().close()

    def steps(self) -> dict[str, Any]:
        """The last steps; see `StepTimes.rows`."""
        return self._step_times.rows()

    def state(self) -> dict[str, Any]:
        """As the gate's, and what this class adds; `simulation` only if simulated."""
        told = super().state() | {
            "config": self._in_force.as_json(),
            "keys": self._ring.as_json(),
            "serve_replica": self._place.name,
            "replicas": self._place.replicas(),
            "step_time": self._step_time(),
            "plan": None if self._plan is None else self._plan.as_json(),
            "log_lines_dropped": self._log_lines_dropped(),
        }
        return told | ({"simulation": self._watch.report} if self._watch else {})

    def sources(self) -> Sources:
        """As the gate's, with the plan's error and a simulation's late steps."""
        report = (self._watch.report if self._watch else None) or {}
        return replace(
            super().sources(),
            plan_kv_error_ratio=self._plan.error_ratio if self._plan else None,
            late_steps_ratio=report.get("late_steps_ratio", 0.0),
        )

    def _step_time(self) -> dict[str, Any]:
        prior, speed = self._step_prior, self.controller.snapshot().speed
        now = speed.coefficients
        return {
            "prior": None if prior is None else asdict(prior),
            "coefficients": None if now is None else asdict(now),
            "records": speed.records,
            "error_ratio": speed.error_ratio,
            "outliers": {"count": speed.outliers, "last": self._outlier(speed.last_outlier)},
        }

    def _outlier(self, last: StepOutlier | None) -> dict[str, Any] | None:
        if last is None:
            return None
        at = datetime.now(UTC) - timedelta(seconds=(self.now_s() - last.at_s) / self.time_scale)
        return {
            "at": at.isoformat(timespec="seconds"),
            "measured_s": last.measured_s,
            "expected_s": last.expected_s,
        }
