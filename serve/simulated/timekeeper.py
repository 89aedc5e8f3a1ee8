"""Sleeps modelled steps in real time, and knows how well it kept to them."""

import time
from collections import deque
from collections.abc import Callable
from typing import Any

LATE_RATIO = 0.05  # a step that ends later than this share of its length after its time is late
LATE_MIN_S = 0.001  # and so much in any case: no scheduler of an operating system does better
INVALID_RATIO = 0.05  # with more late steps than this a run says nothing of the modelled GPUs
RECENT = 1000  # steps
REPORT = "timekeeping"  # the collective_rpc by which the executor is asked for its report

_Clock = Callable[[], float]


class Timekeeper:
    """Ends of steps on a schedule: back to back while there is work, whatever the host needs.

    A modelled step contains the host's share (`planning.step_model`), so a step begins, by the
    schedule, when the one before it ended, and a host that needs less than a step costs nothing.
    Steps last `speed` times less than modelled. A step that ends late by more than its own length
    moves the schedule: a stalled machine is not made up for by a burst.
    """

    def __init__(
        self,
        speed: float = 1.0,
        *,
        now: _Clock = time.monotonic,
        cpu_s: _Clock = time.process_time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.speed = speed
        self._now, self._cpu_s, self._sleep = now, cpu_s, sleep
        self._free_at_s = 0.0  # the schedule's end of the last step
        self._busy = False  # whether its sequences went on
        self._steps = self._late_steps = 0
        self._scheduled_s = self._slept_s = 0.0
        self._begun_s, self._begun_cpu_s = self._now(), self._cpu_s()
        self._recent: deque[bool] = deque(maxlen=RECENT)

    def schedule(self, modelled_s: float, *, goes_on: bool) -> tuple[float, float]:
        """Scheduled start and end of the next step; `goes_on` = it continues the last one's work.

        Instants are real seconds of the monotonic clock.
        """
        start_s = self._free_at_s
        if not (goes_on and self._busy):
            start_s = max(start_s, self._now())
        self._busy = True
        self._free_at_s = start_s + modelled_s / self.speed
        return start_s, self._free_at_s

    def wait(self, start_s: float, end_s: float) -> None:
        """Sleep until a scheduled end, and count how late it became."""
        left_s = end_s - self._now()
        if left_s > 0:
            self._sleep(left_s)
        late_s = self._now() - end_s
        length_s = end_s - start_s
        late = late_s > max(LATE_MIN_S, LATE_RATIO * length_s)
        self._steps += 1
        self._late_steps += late
        self._recent.append(late)
        self._scheduled_s += length_s
        self._slept_s += length_s + late_s
        if late_s > length_s:
            self._free_at_s = max(self._free_at_s, self._now())

    def report(self) -> dict[str, Any]:
        """Steps so far and how true they were; plain values. CPU is of this process."""
        steps, recent = max(1, self._steps), max(1, len(self._recent))
        real_s = max(1e-9, self._now() - self._begun_s)
        late_ratio = self._late_steps / steps
        return {
            "speed": self.speed,
            "steps": self._steps,
            "late_steps": self._late_steps,
            "late_steps_ratio": round(late_ratio, 4),
            "late_steps_ratio_recent": round(sum(self._recent) / recent, 4),
            "scheduled_s": round(self._scheduled_s, 3),
            "slept_s": round(self._slept_s, 3),
            "slept_over_scheduled": round(self._slept_s / max(1e-9, self._scheduled_s), 4),
            "cpu_share": round((self._cpu_s() - self._begun_cpu_s) / real_s, 3),
            "valid": late_ratio <= INVALID_RATIO,
        }
