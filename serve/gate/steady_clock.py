"""Time that stands still while the process does: a stalled machine is not late."""

GAP_S = 5.0  # between two readings; the gate reads twenty times a second


class SteadyClock:
    """A gap between two readings counts as nothing.

    So deadlines of those who wait move by it, budgets gain nothing from it, and nobody takes it for
    a slow engine.
    """

    def __init__(self) -> None:
        self._last_s: float | None = None
        self.lost_s = 0.0

    def at(self, clock_s: float) -> float:
        """The reading of a monotonic clock, less its gaps."""
        if self._last_s is not None and clock_s - self._last_s > GAP_S:
            self.lost_s += clock_s - self._last_s
        self._last_s = clock_s
        return clock_s - self.lost_s
