"""Could the client keep up? A load generator that was the bottleneck measures itself.

Nor does a simulated engine say anything of its GPUs that took longer for its steps than modelled.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import gevent

from loadtests.client.clock import ModelledClock
from loadtests.judging.percentiles import percentile

LAG_P99_MOST_S = 0.2  # modelled; a tenth of the TTFT bound that is usual here (2 s)
STOOD_STILL_MOST_S = 3.0  # real; longer, and it had no core at all: p99 does not see it
CPU_MOST_RATIO = 0.8  # of the one core that a gevent process can use; above it tokens queue here
ENGINE_SLOW_MOST_RATIO = 0.02  # simulated steps, in sum, over what they were to last
_BEAT_S = 0.05  # real seconds between looks at the clock


@dataclass(frozen=True, slots=True)
class ClientReport:
    """How the client did: how late its greenlets woke (p99, modelled), its share of a core.

    `stood_still_s`: the longest that it did not wake at all, in real seconds.
    `engine_slow_ratio`: how much longer than modelled a simulated engine's steps were in sum; None
    where the engine is real.
    """

    beats: int
    lag_p99_s: float
    cpu_ratio: float
    time_scale: float
    engine_slow_ratio: float | None = None
    stood_still_s: float = 0.0

    def flaws(self) -> list[str]:
        """Why a run with this client is invalid; empty = it is valid."""
        found = []
        if self.lag_p99_s > LAG_P99_MOST_S:
            found.append(
                f"the client was late: p99 {self.lag_p99_s:.3f} s, allowed {LAG_P99_MOST_S:g} s"
            )
        if self.stood_still_s > STOOD_STILL_MOST_S:
            found.append(f"the client stood still for {self.stood_still_s:.1f} s")
        if self.cpu_ratio > CPU_MOST_RATIO:
            found.append(
                f"the client used {self.cpu_ratio:.0%} of a core, allowed {CPU_MOST_RATIO:.0%}"
            )
        slow, allowed = self.engine_slow_ratio, ENGINE_SLOW_MOST_RATIO
        if slow is not None and slow > allowed:
            found.append(f"simulated steps took {slow:.1%} too long, allowed {allowed:.0%}")
        return found

    def told(self) -> dict[str, object]:
        """As the last line of a run's file."""
        return asdict(self) | {"flaws": self.flaws()}


class ClientWatch:
    """A heart that beats beside the users: how late it wakes is how late everything here is."""

    def __init__(self, clock: ModelledClock) -> None:
        self._clock = clock
        self._lags_s: list[float] = []
        self._began_s = self._cpu_began_s = 0.0
        self._heart: gevent.Greenlet | None = None
        self._steps_s: list[tuple[float, float]] = []  # modelled and real, as first and last heard

    def start(self) -> None:
        """Begins, or begins anew."""
        self.stop()
        self._lags_s, self._steps_s = [], []
        self._began_s, self._cpu_began_s = time.perf_counter(), time.process_time()
        self._heart = gevent.spawn(self._beat)

    def hear(self, state: Mapping[str, Any]) -> None:
        """The gateway's state: a simulated engine says in it how long its steps were."""
        if told := state.get("simulation"):
            now_s = float(told["scheduled_s"]), float(told["slept_s"])
            self._steps_s = [*self._steps_s[:1], now_s]

    def stop(self) -> None:
        """The report stays readable."""
        if self._heart is not None:
            self._heart.kill()
            self._heart = None

    def report(self, schedule_lags_s: Sequence[float] = ()) -> ClientReport:
        """Since the start. `schedule_lags_s`: how late each request of an open loop was sent."""
        heart_s = percentile(self._lags_s, 0.99) if self._lags_s else 0.0
        schedule_s = percentile(schedule_lags_s, 0.99) if schedule_lags_s else 0.0
        real_s = time.perf_counter() - self._began_s
        return ClientReport(
            beats=len(self._lags_s),
            lag_p99_s=max(heart_s, schedule_s),
            cpu_ratio=(time.process_time() - self._cpu_began_s) / real_s if real_s > 0 else 0.0,
            time_scale=self._clock.time_scale,
            engine_slow_ratio=self._engine_slow_ratio(),
            stood_still_s=max(self._lags_s, default=0.0) / self._clock.time_scale,
        )

    def _engine_slow_ratio(self) -> float | None:
        if len(self._steps_s) < 2:  # noqa: PLR2004 - a difference needs two
            return None
        (modelled_s, real_s), (modelled_now_s, real_now_s) = self._steps_s
        due_s = modelled_now_s - modelled_s
        return (real_now_s - real_s) / due_s - 1 if due_s > 0 else 0.0

    def _beat(self) -> None:
        while True:
            due_s = time.perf_counter() + _BEAT_S
            gevent.sleep(_BEAT_S)
            self._lags_s.append(max(0.0, time.perf_counter() - due_s) * self._clock.time_scale)
