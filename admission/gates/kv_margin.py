"""How much of the KV cache may be promised, corrected by what the engine does.

It starts at all but the configured headroom. Every second in which the engine preempted takes up to
a tenth of it; every second without gives a thousandth back. Where the engine holds more than the
ledger says, what may be promised shrinks by as much; where it holds less (prompts that share
blocks), it stays: the sharing may end at any time.
"""

from admission.ledger.comparison import Comparison

_LEAST = 0.6  # of the blocks: below, fewer promises cannot be what is missing
_PER_PREEMPTION = 0.02  # of what may be promised
_PREEMPTIONS_MAX = 5  # per second that count: one bad step is one mistake
_REGAINED_PER_S = 0.001  # a tenth takes a hundred seconds: longer than most answers
_STALE_MARGIN = 0.05  # kept back in addition while engine statistics are stale
_SECOND = 1.0
_BIAS_KEPT = 0.5 ** (1 / 256)  # per record: about half a minute counts
_BIAS_MIN, _BIAS_MAX = 0.5, 1.1  # beyond, the count is wrong in kind and not in size


class KvMargin:
    """Shares of the usable blocks, 0-1."""

    def __init__(self, headroom_ratio: float) -> None:
        self._most = self._ratio = 1.0 - headroom_ratio
        self._second_from_s: float | None = None
        self._preempted = 0
        self._held = self._used = 0.0  # blocks, fading sums
        self.stale = False

    def reconfigure(self, headroom_ratio: float) -> None:
        """Another headroom from now on; what was lost to preemptions stays lost."""
        lost = self._most - self._ratio
        self._most = 1.0 - headroom_ratio
        self._ratio = max(min(_LEAST, self._most), self._most - lost)

    @property
    def lost_ratio(self) -> float:
        """What preemptions have taken and time has not given back."""
        return self._most - self._ratio

    @property
    def bias_ratio(self) -> float:
        """Recent blocks of the engine / blocks of the ledger; 1 while unknown."""
        if not self._held:
            return 1.0
        return min(_BIAS_MAX, max(_BIAS_MIN, self._used / self._held))

    @property
    def promised_ratio(self) -> float:
        """What may be promised now."""
        ratio = self._ratio - (_STALE_MARGIN if self.stale else 0.0)
        return max(0.0, ratio / max(1.0, self.bias_ratio))

    def pass_time(self, now_s: float) -> None:
        """Judge the seconds that are over."""
        if self._second_from_s is None:
            self._second_from_s = now_s
        seconds = (now_s - self._second_from_s) // _SECOND
        if seconds < 1:
            return
        self._second_from_s += seconds * _SECOND
        if self._preempted:
            loss = _PER_PREEMPTION * min(self._preempted, _PREEMPTIONS_MAX)
            self._ratio = max(min(_LEAST, self._most), self._ratio * (1.0 - loss))
            self._preempted = 0
            seconds -= 1
        self._ratio = min(self._most, self._ratio + _REGAINED_PER_S * seconds)

    def preempted(self, sequences: int) -> None:
        """The engine preempted `sequences` sequences."""
        self._preempted += sequences

    def heed(self, seen: Comparison) -> None:
        """Ledger and engine were compared at one step record."""
        self._held = self._held * _BIAS_KEPT + seen.held_blocks
        self._used = (
            self._used * _BIAS_KEPT + seen.held_blocks + seen.used_blocks - seen.agreed_blocks
        )
