"""The lab's event loop: arrivals, ends of steps and ticks in order of time.

It neither sleeps nor draws random numbers: the same workload, engines and policy give the same
outcomes.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from loadtests.lab.playing.door import Bounds, Door, FleetDoor, OneDoor, Ruling
from loadtests.lab.playing.outcome import PlayedOutcome
from loadtests.lab.playing.workload import TraceRequest, TraceWorkload, number_of
from serve.engine_step import EngineStep
from serve.simulated.requests import EngineRequest

TICK_S = 0.05  # as in the gate (`serve.gate.gate`)


class EngineLike(Protocol):
    """An engine on a virtual clock, as far as the lab needs it."""

    @property
    def ends_at_s(self) -> float | None:
        """When the running step ends; None while the engine is idle."""
        ...

    @property
    def begun(self) -> Sequence[str]:
        """Engine ids of the sequences whose first token came in the last finished step."""
        ...

    def add(self, request: EngineRequest, now_s: float) -> None:
        """Hands the engine a request."""
        ...

    def finish_step(self) -> EngineStep:
        """Ends the running step, begins the next, and returns the record of the first."""
        ...


@dataclass(frozen=True, slots=True)
class Played:
    """A run's results; all but `outcomes` and the end cover only arrivals of counted requests."""

    outcomes: tuple[PlayedOutcome, ...]  # of all that arrived before the run stopped
    steps: int
    preemptions: int
    kv_used_mean: float  # over time, 0-1
    ended_at_s: float
    computed_tokens: int = 0  # of prompts
    cached_tokens: int = 0


class _Readings:
    """Sums over the steps of all engines that end between two instants."""

    def __init__(self, from_s: float, until_s: float, engines: int) -> None:
        self._from_s, self._until_s, self._engines = from_s, until_s, engines
        self.steps = self.preemptions = self.computed_tokens = self.cached_tokens = 0
        self._used_s = self._seconds = 0.0

    def note(self, step: EngineStep, now_s: float) -> None:
        if not self._from_s <= now_s <= self._until_s:
            return
        self.steps += 1
        self.preemptions += step.preempted
        self.computed_tokens += step.prefill_tokens
        self.cached_tokens += step.cached_tokens
        self._used_s += (step.kv_used_ratio or 0.0) * step.elapsed_s
        self._seconds += step.elapsed_s

    @property
    def kv_used_mean(self) -> float:
        span_s = self._engines * (self._until_s - self._from_s)  # an idle engine holds nothing
        return self._used_s / max(span_s, self._seconds, 1e-9)


def next_tick_s(now_s: float) -> float:
    """The first tick after `now_s`; rounding never makes it equal to `now_s`."""
    tick = math.floor(now_s / TICK_S) + 1
    return tick * TICK_S if tick * TICK_S > now_s else (tick + 1) * TICK_S


def play_one(workload: TraceWorkload, engine: EngineLike, door: Door, bounds: Bounds) -> Played:
    """Plays a workload on one engine."""
    return Play(workload, [engine], OneDoor(door), bounds).run()


class Play:
    """One run of a workload on a fleet of engines under one policy."""

    def __init__(
        self,
        workload: TraceWorkload,
        engines: Sequence[EngineLike],
        door: FleetDoor,
        bounds: Bounds,
    ) -> None:
        self._workload = workload
        self._engines = engines
        self._door = door
        self._bounds = bounds
        self._outcomes: list[PlayedOutcome] = []  # by number: all that have arrived
        self._readings = _Readings(workload.from_s, workload.until_s, len(engines))
        self._undecided = workload.counted.start  # the first counted one that may still change

    def run(self) -> Played:
        """Plays until no counted request can still change its result."""
        now_s = 0.0
        while True:
            arrival_s, (step_s, place) = self._next_arrival_s(), self._next_step()
            tick_s = next_tick_s(now_s) if self._door.waiting else math.inf
            at_s = min(arrival_s, step_s, tick_s)
            if at_s == math.inf or self._over(at_s):
                break
            now_s = at_s
            if step_s == at_s:
                self._step(place, now_s)
            elif arrival_s == at_s:
                self._arrive(self._workload.requests[len(self._outcomes)])
            else:
                self._hear(self._door.tick(now_s), now_s)
        readings = self._readings
        return Played(
            tuple(self._outcomes),
            readings.steps,
            readings.preemptions,
            readings.kv_used_mean,
            now_s,
            readings.computed_tokens,
            readings.cached_tokens,
        )

    def _next_arrival_s(self) -> float:
        arrived, requests = len(self._outcomes), self._workload.requests
        return requests[arrived].arrived_at_s if arrived < len(requests) else math.inf

    def _next_step(self) -> tuple[float, int]:
        """When the next step ends, and the engine's number; inf if all engines are idle."""
        found_s, found = math.inf, 0
        for place, engine in enumerate(self._engines):
            ends_at_s = engine.ends_at_s
            if ends_at_s is not None and ends_at_s < found_s:
                found_s, found = ends_at_s, place
        return found_s, found

    def _over(self, now_s: float) -> bool:
        """Whether all counted requests have arrived and are decided; each is checked once."""
        outcomes, counted = self._outcomes, self._workload.counted
        while self._undecided < counted.stop:
            if self._undecided >= len(outcomes):
                return False
            if not outcomes[self._undecided].decided(self._bounds, now_s):
                return False
            self._undecided += 1
        return True

    def _arrive(self, request: TraceRequest) -> None:
        self._outcomes.append(PlayedOutcome(request))
        self._hear(self._door.offer(request, request.arrived_at_s), request.arrived_at_s)

    def _step(self, place: int, now_s: float) -> None:
        engine = self._engines[place]
        step = engine.finish_step()
        self._readings.note(step, now_s)
        for key in engine.begun:
            outcome = self._outcomes[number_of(key)]
            if outcome.first_at_s is None:
                outcome.first_at_s = now_s
        for finished in step.finished:
            outcome = self._outcomes[number_of(finished.engine_id)]
            outcome.unfinished -= 1
            if not outcome.unfinished:
                outcome.ended_at_s = now_s
            outcome.output_tokens += finished.output_tokens
            outcome.preemptions += finished.preemptions
        self._hear(self._door.stepped(place, step, now_s), now_s)

    def _hear(self, rulings: Iterable[Ruling], now_s: float) -> None:
        for number, reason, place in rulings:
            outcome = self._outcomes[number]
            if reason is not None:
                outcome.refusal = reason
                continue
            outcome.accepted_at_s = now_s
            outcome.unfinished = len(outcome.request.engine_ids)
            for engine_id in outcome.request.engine_ids:
                self._engines[place].add(_engine_request(engine_id, outcome.request), now_s)


def _engine_request(engine_id: str, request: TraceRequest) -> EngineRequest:
    return EngineRequest(
        engine_id,
        request.prompt_tokens,
        request.output_tokens,
        request.max_tokens,
        request.prefix,
    )
