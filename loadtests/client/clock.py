"""Modelled time: what a run measures is multiplied by `time_scale`, what it waits is divided."""

import math
import time
from collections.abc import Callable
from typing import Protocol

import gevent


class Clock(Protocol):
    """Seconds of the modelled engine, from the beginning of the run."""

    def now_s(self) -> float:
        """Seconds since the run began; never goes back."""
        ...

    def sleep(self, seconds: float) -> None:
        """Waits; returns at once where nothing is left to wait for."""
        ...


class ModelledClock:
    """`time_scale` modelled seconds pass in a real one (1 with a real engine)."""

    def __init__(
        self,
        time_scale: float = 1.0,
        *,
        real_now: Callable[[], float] = time.perf_counter,
        real_sleep: Callable[[float], None] = gevent.sleep,
    ) -> None:
        if not (math.isfinite(time_scale) and time_scale > 0):
            raise ValueError(f"time_scale {time_scale!r} is no positive number")
        self.time_scale = time_scale
        self._real_now = real_now
        self._real_sleep = real_sleep
        self._began_s = real_now()

    def now_s(self) -> float:
        """Modelled seconds since this clock was made."""
        return (self._real_now() - self._began_s) * self.time_scale

    def sleep(self, seconds: float) -> None:
        """Waits so many modelled seconds."""
        if seconds > 0:
            self._real_sleep(seconds / self.time_scale)

    def real_s(self, seconds: float) -> float:
        """How long `seconds` last outside the model, for timers that know nothing of it."""
        return seconds / self.time_scale
