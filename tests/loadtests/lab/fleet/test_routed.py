"""A fleet on the virtual clock: each engine's own desk decides, routers hear of every end."""

import random

from admission.speed.linear_steps import StepCoefficients
from admission.terms.settings import Settings
from loadtests.lab.fleet.central import LATE, CentralQueue
from loadtests.lab.fleet.routed import RoutedFleet
from loadtests.lab.fleet.routers import ROUTERS, Router
from loadtests.lab.playing.door import Bounds
from loadtests.lab.playing.gateway import OurGateway
from loadtests.lab.playing.play import Play, Played
from loadtests.lab.playing.prefix_hasher import TracePrefixHasher
from loadtests.lab.playing.workload import TraceRequest
from tests.loadtests.lab.fake_virtual_engine import SHAPE, FakeVirtualEngine
from tests.loadtests.lab.lab_cases import asked, workload_of

BOUNDS = Bounds(1.0, 0.2)
LINE = StepCoefficients(0.1, 0.0, 0.0, 0.0)


class Counted:
    """A router that also counts what is open."""

    def __init__(self, inner: Router) -> None:
        self.inner, self.open, self.boards = inner, 0, 0
        self.heed, self._ages = self._heed, []

    def _heed(self, boards: object) -> None:
        self.boards += 1
        self.inner.heed(boards)  # type: ignore[arg-type]

    def pick(self, request: TraceRequest, names: tuple[int, ...], now_s: float) -> int:
        self.open += 1
        return self.inner.pick(request, names, now_s)

    def over(self, engine: int) -> None:
        self.open -= 1
        self.inner.over(engine)


def played(
    name: str, *requests: TraceRequest, engines: int = 2, age_s: float = 0.0
) -> tuple[Played, Counted, list[OurGateway]]:
    hasher = TracePrefixHasher(SHAPE.block_tokens)
    desks = [
        OurGateway(SHAPE, Settings(), BOUNDS, line=LINE, hasher=hasher) for _ in range(engines)
    ]
    router = Counted(ROUTERS[name](engines, random.Random(1)))
    door = RoutedFleet(desks, [router], hasher, random.Random(1), age_s=age_s)
    fleet = [FakeVirtualEngine() for _ in range(engines)]
    return Play(workload_of(*requests), fleet, door, BOUNDS).run(), router, desks


def test_two_engines_serve_what_is_too_much_for_one() -> None:
    requests = [asked(n, 0.02 * n, prompt=64, output=40) for n in range(60)]
    one, _, _ = played("promise", *requests, engines=1)
    two, _, _ = played("promise", *requests, engines=2)
    served = [sum(each.good(BOUNDS) for each in run.outcomes) for run in (one, two)]
    assert served[0] < served[1]


def test_every_end_is_heard_and_every_lease_given_back() -> None:
    requests = [asked(n, 0.05 * n, output=5 + n % 30) for n in range(80)]
    for name in ROUTERS:
        run, router, desks = played(name, *requests)
        over = [each for each in run.outcomes if each.refusal or each.ended_at_s]
        assert router.open == len(run.outcomes) - len(over)
        assert sum(desk.controller.ledger.sequences for desk in desks) == router.open


def test_a_central_queue_waits_for_the_engine_that_first_has_room() -> None:
    requests = [asked(n, 0.05 * n, output=5 + n % 30) for n in range(80)]
    desks = [OurGateway(SHAPE, Settings(), BOUNDS, line=LINE) for _ in range(2)]
    door = CentralQueue(desks, BOUNDS)
    fleet = [FakeVirtualEngine() for _ in range(2)]
    run = Play(workload_of(*requests), fleet, door, BOUNDS).run()
    assert {each.refusal for each in run.outcomes} <= {None, LATE}
    assert all(each.accepted_at_s is None or each.good(BOUNDS) for each in run.outcomes)
    assert not any(desk.waiting for desk in desks)
    assert all(engine.most_at_once for engine in fleet)


def test_boards_are_read_for_each_request_or_by_the_clock() -> None:
    requests = [asked(n, 0.1 * n, output=3) for n in range(20)]
    _, exact, _ = played("promise", *requests)
    assert exact.boards == 20
    _, aged, _ = played("promise", *requests, age_s=1.0)
    assert aged.boards in range(2, 5)
