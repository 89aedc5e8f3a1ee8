"""Limits on requests at once that follow latency: AIMD and Gradient2.

The algorithms and their constants are those of Netflix's concurrency-limits, on what a token
takes: the whole time of a request says how long its answer was, not how busy the engine is.
"""

from loadtests.lab.playing.door import Bounds
from loadtests.lab.playing.fifo import Inside
from loadtests.lab.playing.workload import TraceRequest
from serve.engine_step import EngineStep

_START, _LEAST, _MOST = 20.0, 1.0, 256.0  # requests at once; 256 is what the engine runs


class _AtOnce:
    """So many requests at once."""

    def __init__(self) -> None:
        self.limit = _START

    def fits(self, request: TraceRequest, inside: Inside) -> bool:  # noqa: ARG002 - the protocol's
        """Whether a place is free."""
        return len(inside.requests) < int(self.limit)


class Aimd(_AtOnce):
    """One more for each request that kept its bounds while half the places were taken.

    A tenth less for one that did not, once per generation: what was let in before the last cut
    says nothing about the limit since.
    """

    _BACK_OFF = 0.9

    def __init__(self, bounds: Bounds) -> None:
        super().__init__()
        self._bounds = bounds
        self._before_cut: set[str] = set()  # who was inside at the last cut

    def note(self, step: EngineStep, inside: Inside) -> None:
        """Every request that ended is a sample."""
        for finished in step.finished:
            late = finished.tpot_s > self._bounds.tpot_s
            late |= finished.queued_s + finished.prefill_s > self._bounds.ttft_s
            if late and finished.engine_id not in self._before_cut:
                self.limit = max(_LEAST, self.limit * self._BACK_OFF)
                self._before_cut = set(inside.requests)
            elif not late and 2 * len(inside.requests) >= self.limit:
                self.limit = min(_MOST, self.limit + 1)
            self._before_cut.discard(finished.engine_id)


class Gradient2(_AtOnce):
    """Shrinks by how much a token takes longer than it used to; grows by a margin otherwise."""

    _WINDOW_STEPS = 600  # of the long average
    _TOLERANCE = 1.5  # so many times the long average is no sign of a queue
    _GROWTH = 4.0  # places
    _SMOOTHING = 0.2

    def __init__(self) -> None:
        super().__init__()
        self._long_s = 0.0
        self._samples = 0

    def note(self, step: EngineStep, inside: Inside) -> None:
        """Every step in which anybody decoded is a sample."""
        if not step.decode_tokens or step.elapsed_s <= 0:
            return
        self._average(step.elapsed_s)
        if self._long_s / step.elapsed_s > 2:  # noqa: PLR2004 - the source's: it recovers faster
            self._long_s *= 0.95
        if len(inside.requests) < self.limit / 2:
            return
        gradient = max(0.5, min(1.0, self._TOLERANCE * self._long_s / step.elapsed_s))
        wanted = self.limit * gradient + self._GROWTH
        self.limit += self._SMOOTHING * (wanted - self.limit)
        self.limit = max(_LEAST, min(_MOST, self.limit))

    def _average(self, seconds: float) -> None:
        self._samples += 1
        weight = max(2 / (self._WINDOW_STEPS + 1), 1 / self._samples)
        self._long_s = (1 - weight) * self._long_s + weight * seconds
