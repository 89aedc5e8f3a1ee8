"""Could the client keep up? A load generator that was the bottleneck measures itself."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import gevent

from loadtests.client.clock import ModelledClock
from loadtests.judging.percentiles import percentile

LAG_P99_MOST_S = 0.2  # modelled; a tenth of the TTFT bound that is usual here (2 s)
CPU_MOST_RATIO = 0.8  # of the one core that a gevent process can use; above it tokens queue here
_BEAT_S = 0.05  # real seconds between looks at the clock


@dataclass(frozen=True, slots=True)
class ClientReport:
    """How the client did: how late its greenlets woke (p99, modelled), its share of a core."""

    beats: int
    lag_p99_s: float
    cpu_ratio: float
    time_scale: float

    def flaws(self) -> list[str]:
        """Why a run with this client is invalid; empty = it is valid."""
        found = []
        if self.lag_p99_s > LAG_P99_MOST_S:
            found.append(
                f"the client was late: p99 {self.lag_p99_s:.3f} s, allowed {LAG_P99_MOST_S:g} s"
            )
        if self.cpu_ratio > CPU_MOST_RATIO:
            found.append(
                f"the client used {self.cpu_ratio:.0%} of a core, allowed {CPU_MOST_RATIO:.0%}"
            )
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

    def start(self) -> None:
        """Begins, or begins anew."""
        self.stop()
        self._lags_s = []
        self._began_s, self._cpu_began_s = time.perf_counter(), time.process_time()
        self._heart = gevent.spawn(self._beat)

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
        )

    def _beat(self) -> None:
        while True:
            due_s = time.perf_counter() + _BEAT_S
            gevent.sleep(_BEAT_S)
            self._lags_s.append(max(0.0, time.perf_counter() - due_s) * self._clock.time_scale)
