"""Routing policies: what each of them goes by."""

import random
from collections import Counter
from dataclasses import replace

import pytest

from loadtests.lab.fleet.routers import ROUTERS, Informed, dynamo, lmetric, promise, requests_of
from tests.admission.fleet.boards import IDLE, board
from tests.loadtests.lab.lab_cases import asked

ENGINES = 4


def made(name: str, *boards: object) -> object:
    router = ROUTERS[name](ENGINES, random.Random(1))
    router.heed(list(boards or [IDLE] * ENGINES))  # type: ignore[arg-type]
    return router


@pytest.mark.parametrize("name", list(ROUTERS))
def test_every_router_names_an_engine_there_is(name: str) -> None:
    router = made(name)
    for number in range(50):
        engine = router.pick(asked(number, 0.0), (number,), 0.0)  # type: ignore[attr-defined]
        assert engine in range(ENGINES)
        if number % 3 == 0:
            router.over(engine)  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["round_robin", "least_connections", "promise", "lmetric"])
def test_equal_requests_are_spread_evenly(name: str) -> None:
    router = made(name)
    picks = Counter(router.pick(asked(n, 0.0), (), 0.0) for n in range(40))  # type: ignore[attr-defined]
    assert set(picks.values()) == {10}


def test_least_connections_goes_where_requests_have_ended() -> None:
    router = made("least_connections")
    for number in range(8):
        router.pick(asked(number, 0.0), (), 0.0)  # type: ignore[attr-defined]
    router.over(2)  # type: ignore[attr-defined]
    assert router.pick(asked(8, 0.0), (), 0.0) == 2  # type: ignore[attr-defined]


def test_a_prefix_hash_sends_what_begins_alike_to_the_same_engine() -> None:
    router = made("prefix_hash")
    alike = [replace(asked(n, 0.0), prefix=("a", "b")) for n in range(9)]
    assert len({router.pick(each, (), 0.0) for each in alike}) == 1  # type: ignore[attr-defined]


def test_a_bounded_hash_passes_over_an_engine_with_more_than_its_share() -> None:
    router = made("bounded_hash")
    alike = [replace(asked(n, 0.0), prefix=("a", "b")) for n in range(40)]
    picks = Counter(router.pick(each, (), 0.0) for each in alike)  # type: ignore[attr-defined]
    assert len(picks) == ENGINES
    assert max(picks.values()) <= 1.25 * (40 + 1) / ENGINES


def test_power_of_two_avoids_the_longer_of_its_two() -> None:
    router = made("power_of_two", board(requests=99), *[IDLE] * 3)
    picks = {router.pick(asked(n, 0.0), (), 0.0) for n in range(30)}  # type: ignore[attr-defined]
    assert 0 not in picks


@pytest.mark.parametrize("cost", [requests_of, lmetric, dynamo])
def test_published_costs_prefer_the_emptier_engine(cost: object) -> None:
    busy = board(requests=5, backlog_tokens=3_000, held_ratio=0.5)
    router = Informed(2, random.Random(1), cost)  # type: ignore[arg-type]
    router.heed([busy, IDLE])
    assert router.pick(asked(0, 0.0), (), 0.0) == 1


def test_weights_change_the_choice() -> None:
    crowded, slow = board(requests=50), board(ttft_s=(0.5, 1.4, 4.5, 17.0))
    for externality, expected in ((0.0, 0), (1.0, 1)):
        router = promise(externality, 0.0)(2, random.Random(1))
        router.heed([crowded, slow])
        assert router.pick(asked(0, 0.0), (), 0.0) == expected


def test_where_nobody_takes_it_somebody_still_refuses_it() -> None:
    router = made("promise", *[board(open=False)] * ENGINES)
    assert router.pick(asked(0, 0.0), (), 0.0) == 0  # type: ignore[attr-defined]
