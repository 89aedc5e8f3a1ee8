"""Concurrency limits that follow latency: AIMD and Gradient2.

The algorithms and constants are those of Netflix's concurrency-limits, applied to the time per
token. The total time of a request reflects the length of its answer, not the load of the engine.
"""

from loadtests.lab.playing.door import Bounds
from loadtests.lab.playing.fifo import Inside
from loadtests.lab.playing.workload import TraceRequest
from serve.engine_step import EngineStep

_START, _LEAST, _MOST = 20.0, 1.0, 256.0  # requests at once; 256 is what the engine runs


class _AtOnce:
    """A limit on concurrent requests, which subclasses adapt."""

    def __init__(self) -> None:
        self.limit = _START

    def fits(self, request: TraceRequest, inside: Inside) -> bool:  # noqa: ARG002 - the protocol's
        """Whether fewer requests run than the limit."""
        return len(inside.requests) < int(self.limit)


class Aimd(_AtOnce):
    """Raises the limit by 1 for a request that kept its bounds while half the limit was in use.

    It cuts the limit by a tenth for one that did not, once per generation: requests accepted before
    the last cut say nothing about the limit since.
    """

    _BACK_OFF = 0.9

    def __init__(self, bounds: Bounds) -> None:
        super().__init__()
        self._bounds = bounds
        self._before_cut: set[str] = set()  # engine ids that ran at the last cut

    def note(self, step: EngineStep, inside: Inside) -> None:
        """Takes every request that ended in the step as a sample."""
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
    """Shrinks in proportion to the rise of the time per token; otherwise grows by a margin."""

    _WINDOW_STEPS = 600  # of the long average
    _TOLERANCE = 1.5  # up to this multiple of the long average there is no sign of a queue
    _GROWTH = 4.0  # places
    _SMOOTHING = 0.2

    def __init__(self) -> None:
        super().__init__()
        self._long_s = 0.0
        self._samples = 0

    def note(self, step: EngineStep, inside: Inside) -> None:
        """Takes every step in which a sequence decoded as a sample."""
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
