"""A fleet under routing: routers choose an engine, and that engine's desk decides."""

import random
from collections.abc import Sequence

from admission.fleet.reading import read_board
from loadtests.lab.fleet.routers import Router
from loadtests.lab.playing.door import Ruling
from loadtests.lab.playing.gateway import OurGateway
from loadtests.lab.playing.prefix_hasher import TracePrefixHasher
from loadtests.lab.playing.workload import TraceRequest, number_of
from serve.engine_step import EngineStep


class RoutedFleet:
    """One desk per engine; a request arrives at any of the routers.

    Boards are read every `age_s` of virtual time, or for every request if it is 0.
    """

    def __init__(
        self,
        desks: Sequence[OurGateway],
        routers: Sequence[Router],
        hasher: TracePrefixHasher,
        rng: random.Random,
        *,
        age_s: float = 0.0,
    ) -> None:
        self._desks, self._routers, self._hasher, self._rng = desks, routers, hasher, rng
        self._age_s = age_s
        self._read_at_s = 0.0  # next reading of the boards
        self._open: dict[int, tuple[Router, int, int]] = {}  # router, engine, running sequences

    @property
    def waiting(self) -> int:
        """Requests in all queues."""
        return sum(desk.waiting for desk in self._desks)

    def offer(self, request: TraceRequest, now_s: float) -> Sequence[Ruling]:
        """Routes the request and offers it to that engine's desk."""
        self._read_boards(now_s)
        router = self._rng.choice(self._routers)
        engine = router.pick(request, self._hasher.of(request), now_s)
        self._open[request.number] = router, engine, len(request.engine_ids)
        return self._told(engine, self._desks[engine].offer(request, now_s))

    def stepped(self, engine: int, step: EngineStep, now_s: float) -> Sequence[Ruling]:
        """Passes the step to that engine's desk."""
        if self._age_s:
            self._read_boards(now_s)
        rulings = self._told(engine, self._desks[engine].stepped(step, now_s))
        for finished in step.finished:
            self._end(number_of(finished.engine_id))
        return rulings

    def tick(self, now_s: float) -> Sequence[Ruling]:
        """Passes the tick to all desks."""
        return [
            ruling
            for engine, desk in enumerate(self._desks)
            if desk.waiting
            for ruling in self._told(engine, desk.tick(now_s))
        ]

    def _read_boards(self, now_s: float) -> None:
        if now_s < self._read_at_s:
            return
        if self._age_s:
            self._read_at_s = (now_s // self._age_s + 1) * self._age_s
        boards = [read_board(desk.controller, now_s) for desk in self._desks]
        for router in self._routers:
            router.heed(boards)

    def _told(self, engine: int, rulings: Sequence[Ruling]) -> list[Ruling]:
        for ruling in rulings:
            if ruling.reason is not None:
                router, chosen, _ = self._open.pop(ruling.number)
                router.over(chosen)
        return [ruling._replace(engine=engine) for ruling in rulings]

    def _end(self, number: int) -> None:
        router, engine, running = self._open.pop(number)
        if running > 1:
            self._open[number] = router, engine, running - 1
        else:
            router.over(engine)
