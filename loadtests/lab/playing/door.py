"""What stands between a trace and its engines: a policy, told of arrivals, steps and the time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from loadtests.lab.playing.workload import TraceRequest
from serve.engine_step import EngineStep


@dataclass(frozen=True, slots=True)
class Bounds:
    """What every request was promised, in seconds."""

    ttft_s: float
    tpot_s: float


class Ruling(NamedTuple):
    """News for one request: let in (`reason` None) to an engine, or refused and why."""

    number: int
    reason: str | None = None
    engine: int = 0


class Door(Protocol):
    """One policy at work on one engine. Whatever waits is its own business until it says so."""

    @property
    def waiting(self) -> int:
        """How many wait; while anybody does, it is asked every tick."""
        ...

    def offer(self, request: TraceRequest, now_s: float) -> Sequence[Ruling]:
        """A request arrives."""
        ...

    def stepped(self, step: EngineStep, now_s: float) -> Sequence[Ruling]:
        """The engine finished a step; engine ids are the requests' numbers as text."""
        ...

    def tick(self, now_s: float) -> Sequence[Ruling]:
        """Time has passed."""
        ...


class FleetDoor(Protocol):
    """The same for several engines; each is named by its place among them."""

    @property
    def waiting(self) -> int:
        """How many wait; while anybody does, it is asked every tick."""
        ...

    def offer(self, request: TraceRequest, now_s: float) -> Sequence[Ruling]:
        """A request arrives."""
        ...

    def stepped(self, engine: int, step: EngineStep, now_s: float) -> Sequence[Ruling]:
        """One of the engines finished a step."""
        ...

    def tick(self, now_s: float) -> Sequence[Ruling]:
        """Time has passed."""
        ...


class OneDoor:
    """The door of one engine as that of a fleet of one."""

    def __init__(self, door: Door) -> None:
        self._door = door

    @property
    def waiting(self) -> int:
        """How many wait."""
        return self._door.waiting

    def offer(self, request: TraceRequest, now_s: float) -> Sequence[Ruling]:
        """A request arrives."""
        return self._door.offer(request, now_s)

    def stepped(self, _: int, step: EngineStep, now_s: float) -> Sequence[Ruling]:
        """The engine finished a step."""
        return self._door.stepped(step, now_s)

    def tick(self, now_s: float) -> Sequence[Ruling]:
        """Time has passed."""
        return self._door.tick(now_s)
