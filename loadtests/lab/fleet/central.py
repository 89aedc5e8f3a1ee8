"""One queue before all engines, with the gateway's own desks behind it: requests are bound late.

A request waits here until a desk would accept it at once, and goes to the one where it costs
least. It knows no lengths. No gateway can do this without a hop for every request; it shows what
choosing at arrival costs.
"""

from collections.abc import Sequence

from admission.fleet.pick import Weights
from loadtests.lab.playing.door import Bounds, Ruling
from loadtests.lab.playing.gateway import OurGateway
from loadtests.lab.playing.workload import TraceRequest
from serve.engine_step import EngineStep

LATE = "late"
_TRIED = 16  # of those that wait, at each event


class CentralQueue:
    """In order of arrival; those behind a request that no desk accepts are tried as well."""

    def __init__(self, desks: Sequence[OurGateway], bounds: Bounds) -> None:
        self._desks, self._bounds = desks, bounds
        self._all = range(len(desks))
        self._externality = Weights().externality
        self._waiting: list[TraceRequest] = []

    @property
    def waiting(self) -> int:
        """How many wait here."""
        return len(self._waiting)

    def offer(self, request: TraceRequest, now_s: float) -> Sequence[Ruling]:
        """The last in the queue."""
        self._waiting.append(request)
        return self._move(self._all, now_s)

    def stepped(self, engine: int, step: EngineStep, now_s: float) -> Sequence[Ruling]:
        """Only this engine may have more room than before."""
        self._desks[engine].stepped(step, now_s)
        return self._move((engine,), now_s)

    def tick(self, now_s: float) -> Sequence[Ruling]:
        """Time alone frees what aborted requests held, and lets deadlines pass."""
        for desk in self._desks:
            desk.tick(now_s)
        return self._expired(now_s)

    def _move(self, engines: Sequence[int], now_s: float) -> list[Ruling]:
        rulings = self._expired(now_s)
        for request in self._waiting[:_TRIED]:
            costs = {e: self._desks[e].cost_s(request, self._externality, now_s) for e in engines}
            able = {engine: cost for engine, cost in costs.items() if cost is not None}
            if able:
                chosen = min(able, key=able.__getitem__)
                self._waiting.remove(request)
                told = self._desks[chosen].offer(request, now_s)
                rulings += [ruling._replace(engine=chosen) for ruling in told]
        return rulings

    def _expired(self, now_s: float) -> list[Ruling]:
        late = [r for r in self._waiting if now_s - r.arrived_at_s > self._bounds.ttft_s]
        for request in late:
            self._waiting.remove(request)
        return [Ruling(request.number, LATE) for request in late]
