"""One cell of a fleet grid (a workload, a rate, numbers of engines and routers), and its runs."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from loadtests.lab.comparing.capacity import highest, share_of_possible
from loadtests.lab.fleet.central import CentralQueue
from loadtests.lab.fleet.routed import RoutedFleet
from loadtests.lab.fleet.routers import OURS, ROUTERS, Router, promise
from loadtests.lab.fleet.workloads import Part, Source
from loadtests.lab.jobs import engines_of
from loadtests.lab.oracle.clairvoyant import Binding, Clairvoyant, Order, Schedule, dear_s
from loadtests.lab.oracle.known_engine import KnownEngine, cost_s
from loadtests.lab.playing.door import Bounds, FleetDoor
from loadtests.lab.playing.gateway import OurGateway
from loadtests.lab.playing.play import Play
from loadtests.lab.playing.prefix_hasher import TracePrefixHasher
from loadtests.lab.playing.workload import TraceWorkload
from loadtests.lab.summary import PolicyRow, row

if TYPE_CHECKING:
    from loadtests.lab.playing.engines import Engines

ORACLE = "oracle"
_HALF = 2
_PLANS = tuple(
    Schedule(order, skips=True, cheapest=cheapest, binding=binding)
    for order, cheapest in (
        (Order.ARRIVAL, 1.0),
        (Order.COST, 1.0),
        (Order.COST, 0.9),
        (Order.COST, 0.75),
    )
    for binding in Binding
)
CENTRAL = "central"  # the gateway's desks behind one queue: bound late, no length known
KNOWING = f"{ORACLE}_desks"  # the gateway itself with true lengths and exact boards
PLANS = tuple(f"{ORACLE}_{number}" for number in range(len(_PLANS)))
_ONE_X_PART = Part(60, 400)
_ONE_X_PLANS = (0, 3)  # by arrival and by cost; one engine leaves no other choice


@dataclass(frozen=True, slots=True)
class FleetCell:
    """What all arms of a cell share. `rate_per_s` is offered to the whole fleet.

    `age_s`: seconds between readings of the boards. `uneven`: every second engine has half the KV
    cache.
    """

    name: str
    profile: Path
    source: Source
    part: Part
    bounds: Bounds
    engines: int
    rate_per_s: float
    routers: int = 1
    age_s: float = 0.1
    uneven: bool = False


@dataclass(frozen=True, slots=True)
class FleetRow:
    """One arm in one cell. `cached_ratio`: share of prompt tokens found in the prefix cache."""

    arm: str
    row: PolicyRow
    cached_ratio: float


def run(cell: FleetCell, arm: str) -> FleetRow:
    """Plays one arm: a name in `ROUTERS` or `PLANS`, or `promise:EXTERNALITY:OCCUPANCY`."""
    workload = cell.source.workload(cell.rate_per_s, cell.part)
    kinds = [_kind(cell, place) for place in range(cell.engines)]
    fleet = [kind.fresh() for kind in kinds]
    try:
        door = _door(cell, arm, kinds, workload)
        played = Play(workload, fleet, door, cell.bounds).run()
    finally:
        for engine in fleet:
            engine.close()
    tokens = played.cached_tokens + played.computed_tokens
    found = row(arm, None, workload, played, cell.bounds)
    return FleetRow(arm, found, played.cached_tokens / max(1, tokens))


def _door(
    cell: FleetCell, arm: str, kinds: Sequence["Engines"], workload: TraceWorkload
) -> FleetDoor:
    if arm == CENTRAL:
        desks, _ = _desks(cell, kinds)
        return CentralQueue(desks, cell.bounds)
    if arm == KNOWING:
        exact = replace(cell, age_s=0.0, routers=1)
        return _routed(exact, OURS, kinds, knows_lengths=True)
    return _oracle(cell, arm, kinds, workload) if arm in PLANS else _routed(cell, arm, kinds)


def _kind(cell: FleetCell, place: int) -> "Engines":
    whole = engines_of(cell.profile, None)
    if not (cell.uneven and place % _HALF):
        return whole
    return engines_of(cell.profile, whole.shape.capacity_tokens // _HALF)


def _routed(
    cell: FleetCell, arm: str, kinds: Sequence["Engines"], *, knows_lengths: bool = False
) -> FleetDoor:
    desks, hasher = _desks(cell, kinds, knows_lengths=knows_lengths)
    rng = random.Random(f"{cell.name} {arm}")  # noqa: S311 - not secret: the same every time
    make = _maker(arm)
    routers = [make(cell.engines, rng) for _ in range(cell.routers)]
    return RoutedFleet(desks, routers, hasher, rng, age_s=cell.age_s)


def _desks(
    cell: FleetCell, kinds: Sequence["Engines"], *, knows_lengths: bool = False
) -> tuple[list[OurGateway], TracePrefixHasher]:
    hasher = TracePrefixHasher(kinds[0].shape.block_tokens)
    desks = []
    for kind in kinds:
        facts = kind.facts(cell.bounds, None)
        desks.append(
            OurGateway(
                facts.shape,
                facts.settings,
                cell.bounds,
                line=facts.line,
                knows_lengths=knows_lengths,
                hasher=hasher,
            )
        )
    return desks, hasher


def _maker(arm: str) -> Callable[[int, random.Random], Router]:
    name, *weights = arm.split(":")
    return promise(*map(float, weights)) if weights else ROUTERS[name]


def _oracle(
    cell: FleetCell, arm: str, kinds: Sequence["Engines"], workload: TraceWorkload
) -> FleetDoor:
    plan = _PLANS[PLANS.index(arm)]
    facts = [kind.facts(cell.bounds, None) for kind in kinds]
    capacity, line = facts[0].shape.capacity_tokens, facts[0].line
    costs = [cost_s(request, line, capacity) for request in workload.offered]
    known = [KnownEngine(f.shape, f.line, cell.bounds, margin=plan.margin) for f in facts]
    return Clairvoyant(plan, known, cell.bounds, dear_s=dear_s(plan, costs))


def one_x_per_s(cell: FleetCell) -> float:
    """The highest rate at which the oracle serves 99 % on one engine, in requests a second."""
    alone = replace(cell, engines=1, part=_ONE_X_PART, uneven=False)

    def served(rate_per_s: float) -> float:
        at_rate = replace(alone, rate_per_s=rate_per_s)
        best = max(
            (run(at_rate, PLANS[number]).row for number in _ONE_X_PLANS),
            key=lambda found: found.share_of_offered,
        )
        return share_of_possible(best)

    return highest(served, most=_busy_per_s(alone))


def _busy_per_s(cell: FleetCell) -> float:
    """Twice the requests a second that keep one engine busy, since prefixes may be cached."""
    facts = _kind(cell, 0).facts(cell.bounds, None)
    workload = cell.source.workload(1.0, cell.part)
    capacity = facts.shape.capacity_tokens
    busy_s = sum(cost_s(request, facts.line, capacity) for request in workload.offered)
    return 4 * len(workload.offered) / busy_s
