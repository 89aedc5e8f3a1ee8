"""Whether the engine is alive: how long it has been silent, and how long it may be.

Signs of life are step records and, while no sequence runs, answers to pings. The engine *hangs*
once its silence exceeds a first bound: admission closes, and opens again with the next sign of
life. It is *lost* beyond a second, larger bound: the gateway ends it.

    hang bound    = max(hang_after_s, 3 x longest possible step), at least 60 s until a first step
    replace bound = max(replace_after_s, 2 x hang bound)
"""

from dataclasses import dataclass

_FIRST_STEP_S = 60.0  # a first prompt may compile kernels, and no step has shown how long one takes
_LONGEST_STEPS = 3.0  # one runs, one is on its way, and a step may take longer than modelled
_HANG_BOUNDS = 2.0  # the least distance between the bounds: an engine gets time to wake up


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds of silence, in the controller's own time; both are lower bounds."""

    hang_after_s: float = 10.0  # a GPU's longest step takes about a second
    replace_after_s: float = 60.0  # a new engine takes about as long to start


class Heartbeat:
    """Watches signs of life against the time and sets `hung` and `lost`.

    Silence counts from the moment at which a sign was due: a ping was sent, or a sequence began to
    run. Of an idle engine that is not pinged nothing is expected.
    """

    def __init__(self, patience: Patience) -> None:
        self.longest_step_s = 0.0  # the longest step that the engine may run, as known by now
        self.silent_s = 0.0
        self.hung = False
        self.lost = False
        self._patience = patience
        self._due_since_s: float | None = None
        self._pinged = False
        self._stepped = False

    def ping(self, now_s: float) -> None:
        """A ping was sent."""
        self._pinged = True
        self._expect(now_s)

    def answered(self, now_s: float) -> None:
        """The ping was answered."""
        self._pinged = False
        self._beat(now_s)

    def step(self, now_s: float) -> None:
        """A step record came."""
        self._stepped = True
        self._beat(now_s)

    def look(self, *, running: bool, now_s: float) -> None:
        """Time has passed; `running` says whether the engine has sequences to compute."""
        if running:
            self._expect(now_s)
        elif not (self._pinged or self.hung):
            self._due_since_s = None
        self.silent_s = 0.0 if self._due_since_s is None else max(0.0, now_s - self._due_since_s)
        self.lost = self.lost or self.silent_s > self.replace_bound_s(running=running)
        self.hung = self.lost or self.silent_s > self.hang_bound_s(running=running)

    def _expect(self, now_s: float) -> None:
        if self._due_since_s is None:
            self._due_since_s = now_s

    def _beat(self, now_s: float) -> None:
        """An engine that was lost stays lost: it is being ended."""
        self._due_since_s = now_s
        self.silent_s = 0.0
        self.hung = self.lost

    def hang_bound_s(self, *, running: bool) -> float:
        """Seconds of silence beyond which the engine counts as hung."""
        least_s = self._patience.hang_after_s
        if running and not self._stepped:
            least_s = max(least_s, _FIRST_STEP_S)
        return max(least_s, _LONGEST_STEPS * self.longest_step_s if running else 0.0)

    def replace_bound_s(self, *, running: bool) -> float:
        """Seconds of silence beyond which the engine is given up."""
        hang_s = self.hang_bound_s(running=running)
        return max(self._patience.replace_after_s, _HANG_BOUNDS * hang_s)
