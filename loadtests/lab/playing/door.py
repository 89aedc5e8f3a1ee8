"""The protocol of an admission policy, which receives arrivals, engine steps and ticks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from loadtests.lab.playing.workload import TraceRequest
from serve.engine_step import EngineStep


@dataclass(frozen=True, slots=True)
class Bounds:
    """The latency bounds of every request, in seconds."""

    ttft_s: float
    tpot_s: float


class Ruling(NamedTuple):
    """The decision on one request: accepted (`reason` None) for an engine, or refused and why."""

    number: int
    reason: str | None = None
    engine: int = 0


class Door(Protocol):
    """One policy for one engine. It holds queued requests until it returns a ruling on them."""

    @property
    def waiting(self) -> int:
        """Queued requests; while there are any, the lab calls `tick` every `TICK_S`."""
        ...

    def offer(self, request: TraceRequest, now_s: float) -> Sequence[Ruling]:
        """Takes a new request; returns all rulings due now."""
        ...

    def stepped(self, step: EngineStep, now_s: float) -> Sequence[Ruling]:
        """Takes a finished engine step, whose engine ids are request numbers as text."""
        ...

    def tick(self, now_s: float) -> Sequence[Ruling]:
        """Returns rulings that are due only because time has passed."""
        ...


class FleetDoor(Protocol):
    """A policy for several engines, which are numbered from 0; otherwise like `Door`."""

    @property
    def waiting(self) -> int:
        """Queued requests, as in `Door`."""
        ...

    def offer(self, request: TraceRequest, now_s: float) -> Sequence[Ruling]:
        """Takes a new request, as in `Door`."""
        ...

    def stepped(self, engine: int, step: EngineStep, now_s: float) -> Sequence[Ruling]:
        """Takes a finished step of engine number `engine`."""
        ...

    def tick(self, now_s: float) -> Sequence[Ruling]:
        """Returns rulings that are due only because time has passed."""
        ...


class OneDoor:
    """Adapts a `Door` to a fleet of one engine."""

    def __init__(self, door: Door) -> None:
        self._door = door

    @property
    def waiting(self) -> int:
        """Queued requests."""
        return self._door.waiting

    def offer(self, request: TraceRequest, now_s: float) -> Sequence[Ruling]:
        """Passes the request on."""
        return self._door.offer(request, now_s)

    def stepped(self, _: int, step: EngineStep, now_s: float) -> Sequence[Ruling]:
        """Passes the step on, without the engine's number."""
        return self._door.stepped(step, now_s)

    def tick(self, now_s: float) -> Sequence[Ruling]:
        """Passes the tick on."""
        return self._door.tick(now_s)
