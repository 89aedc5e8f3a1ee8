"""Whether engine statistics are fresh: a running engine reports every step."""

_STALE_AFTER_S = 2.0  # without news, or longer where steps take longer
_STEPS_MAX = 3.0  # times the longest step of late: one runs, one is on its way
_LONGEST_KEPT = 0.999  # per record: half of it after a minute of decoding


class Freshness:
    """Watches step records against the time.

    `silent`: sequences run and no step record comes. `usage_missing`: records come and do not say
    what the engine holds.
    """

    def __init__(self) -> None:
        self.silent = False
        self.usage_missing = False
        self._heard_at_s = self._used_at_s = 0.0
        self._running = False
        self._longest_s = 0.0

    @property
    def stale(self) -> bool:
        """Whether admission must decide by the ledger alone."""
        return self.silent or self.usage_missing

    def hear(self, *, elapsed_s: float, usage_known: bool, now_s: float) -> None:
        """A step record came."""
        self._heard_at_s = now_s
        if usage_known:
            self._used_at_s = now_s
        self._longest_s = max(elapsed_s, self._longest_s * _LONGEST_KEPT)

    def look(self, *, running: bool, now_s: float) -> None:
        """Time has passed; an idle engine has nothing to report."""
        if not (running and self._running):
            self._heard_at_s = self._used_at_s = now_s
        self._running = running
        allowed_s = max(_STALE_AFTER_S, _STEPS_MAX * self._longest_s)
        self.silent = now_s - self._heard_at_s > allowed_s
        self.usage_missing = not self.silent and now_s - self._used_at_s > allowed_s
