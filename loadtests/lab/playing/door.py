"""What stands between a trace and the engine: a policy, told of arrivals, steps and the time."""

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
    """News for one request: let in (`reason` None), or refused and why."""

    number: int
    reason: str | None = None


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
