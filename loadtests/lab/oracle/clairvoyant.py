"""Oracle (b)'s schedules: one queue for all engines, ordered with true lengths.

A request starts on an engine as soon as it fits there (`KnownEngine`). A `Schedule` decides which
request comes first and which engines it may use; the best of several schedules counts. Each is a
feasible schedule, hence a lower bound of the optimum.
"""

import math
from bisect import insort
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from loadtests.lab.oracle.known_engine import KnownEngine
from loadtests.lab.playing.door import Bounds, Ruling
from loadtests.lab.playing.workload import TraceRequest
from serve.engine_step import EngineStep

LATE, TOO_DEAR = "late", "too_dear"
TOO_LONG = "too_long"  # its prompt alone takes longer than the TTFT bound
_TRIED_BEHIND_HEAD = 16
_NEAR_TOKENS = 256  # prompt tokens that may be cached on the best engine and not on this one
_PATIENCE = 0.5  # share of the TTFT bound after which any engine will do
_OTHERS = 0.2  # share of a prompt's seconds that it costs each running request


class Order(StrEnum):
    """Which queued request is tried first. All bounds are equal: ARRIVAL is deadline order too."""

    ARRIVAL = "arrival"
    COST = "cost"


class Binding(StrEnum):
    """Which engines a request may take.

    ANY: the first with room. NEAR: those that cache nearly as much of its prompt as the best, and
    any once half of its time is over. HOME: one that is chosen when it arrives.
    """

    ANY = "any"
    NEAR = "near"
    HOME = "home"


@dataclass(frozen=True, slots=True)
class Schedule:
    """One schedule of the portfolio.

    With `skips`, requests behind a head that does not fit are tried too. Only the share `cheapest`
    of all requests, the cheapest ones, may run. `margin` is the share of the TPOT bound to plan.
    """

    order: Order
    skips: bool
    margin: float = 0.95
    cheapest: float = 1.0
    binding: Binding = Binding.ANY


PORTFOLIO = (
    Schedule(Order.ARRIVAL, skips=False),
    Schedule(Order.ARRIVAL, skips=True),
    Schedule(Order.COST, skips=False),
    Schedule(Order.COST, skips=True),
    Schedule(Order.COST, skips=True, margin=0.8),
    Schedule(Order.ARRIVAL, skips=True, cheapest=0.9),
    Schedule(Order.COST, skips=True, cheapest=0.9),
    Schedule(Order.COST, skips=True, cheapest=0.75),
    Schedule(Order.COST, skips=True, cheapest=0.5),
)


def dear_s(plan: Schedule, costs: Sequence[float]) -> float:
    """The cost above which the plan refuses, by the costs of all counted requests."""
    return float(np.quantile(costs, plan.cheapest)) if plan.cheapest < 1 else math.inf


class Clairvoyant:
    """A policy that follows one schedule. Requests that cost more than `dear_s` are refused.

    `engines` must have the schedule's margin.
    """

    def __init__(
        self, plan: Schedule, engines: Sequence[KnownEngine], bounds: Bounds, *, dear_s: float
    ) -> None:
        self._plan, self._engines, self._bounds = plan, engines, bounds
        self._dear_s = dear_s
        self._all = range(len(engines))
        self._waiting: list[tuple[float, int, TraceRequest]] = []
        self._bound: dict[int, Collection[int]] = {}  # allowed engines by request number

    @property
    def waiting(self) -> int:
        """Queued requests."""
        return len(self._waiting)

    def offer(self, request: TraceRequest, now_s: float) -> Sequence[Ruling]:
        """Queues the request in the schedule's order, or refuses it."""
        if self._alone_s(request) > self._bounds.ttft_s:
            return [Ruling(request.number, TOO_LONG)]
        cost = min(engine.cost_s(request) for engine in self._engines)
        if cost > self._dear_s:
            return [Ruling(request.number, TOO_DEAR)]
        key = cost if self._plan.order is Order.COST else request.arrived_at_s
        self._bound[request.number] = self._bind(request)
        insort(self._waiting, (key, request.number, request))
        return self._move(self._all, now_s)

    def stepped(self, engine: int, step: EngineStep, now_s: float) -> Sequence[Ruling]:
        """Accepts requests that fit now; only this engine may have more room than before."""
        self._engines[engine].stepped(step, now_s)
        return self._move((engine,), now_s)

    def tick(self, now_s: float) -> Sequence[Ruling]:
        """Refuses requests that are lost; between steps time alone makes no room."""
        return self._lost(now_s)

    def _move(self, engines: Sequence[int], now_s: float) -> Sequence[Ruling]:
        told = self._lost(now_s)
        place = tried = 0
        while place < len(self._waiting) and tried <= _TRIED_BEHIND_HEAD:
            request = self._waiting[place][2]
            chosen = self._chosen(request, engines, now_s)
            if chosen is not None:
                del self._waiting[place], self._bound[request.number]
                self._engines[chosen].let_in(request, now_s)
                told.append(Ruling(request.number, engine=chosen))
            elif self._plan.skips:
                place, tried = place + 1, tried + 1
            else:
                break
        return told

    def _chosen(self, request: TraceRequest, engines: Sequence[int], now_s: float) -> int | None:
        """The engine, among those allowed and with room, with the fewest new tokens x guests."""
        bound = self._bound[request.number]
        if self._plan.binding is Binding.NEAR and self._pressed(request, now_s):
            bound = self._all
        fitting = [e for e in engines if e in bound and self._engines[e].fits(request, now_s)]
        return min(fitting, key=lambda e: self._rank(e, request), default=None)

    def _rank(self, place: int, request: TraceRequest) -> tuple[float, float]:
        engine = self._engines[place]
        return engine.new_tokens(request) * (1 + engine.sequences), engine.held_ratio()

    def _pressed(self, request: TraceRequest, now_s: float) -> bool:
        return now_s - request.arrived_at_s > self._bounds.ttft_s * _PATIENCE

    def _bind(self, request: TraceRequest) -> Collection[int]:
        """The engines that a new request may use."""
        if self._plan.binding is Binding.ANY:
            return self._all
        if self._plan.binding is Binding.HOME:
            return (min(self._all, key=lambda place: self._home_s(place, request)),)
        new = [engine.new_tokens(request) for engine in self._engines]
        return [place for place in self._all if new[place] <= min(new) + _NEAR_TOKENS]

    def _home_s(self, place: int, request: TraceRequest) -> float:
        """Seconds to its first token there, plus the delay that its prompt costs the others."""
        engine = self._engines[place]
        here = [r for _, number, r in self._waiting if place in self._bound[number]]
        own_s = engine.alone_s(request)
        ahead_s = engine.backlog_s() + sum(map(engine.alone_s, here))
        return ahead_s + own_s + _OTHERS * own_s * (engine.sequences + len(here))

    def _lost(self, now_s: float) -> list[Ruling]:
        """Rulings on requests whose first token would be late even without further arrivals."""
        lost = [
            entry
            for entry in self._waiting
            if now_s + self._alone_s(entry[2]) > entry[2].arrived_at_s + self._bounds.ttft_s
        ]
        for entry in lost:
            self._waiting.remove(entry)
            del self._bound[entry[1]]
        return [Ruling(number, LATE) for _, number, _ in lost]

    def _alone_s(self, request: TraceRequest) -> float:
        return min(engine.alone_s(request) for engine in self._engines)
