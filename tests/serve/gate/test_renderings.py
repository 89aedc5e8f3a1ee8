"""Places to render in: order, who is asked when, and that none is lost."""

import asyncio
import random
from collections.abc import Hashable

from serve.gate.renderings import Renderings
from tests.fakes import settle


class Clock:
    """Seconds as a test sets them."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Door:
    """What is answered of whom; True where nothing is set. Remembers what it was asked."""

    def __init__(self) -> None:
        self.may: dict[Hashable, bool | None] = {}
        self.asked: list[tuple[Hashable, int]] = []

    def __call__(self, who: Hashable, inside: int) -> bool | None:
        self.asked.append((who, inside))
        return self.may.get(who, True)


def made(places: int = 2) -> tuple[Renderings, Door, Clock]:
    door, clock = Door(), Clock()
    return Renderings(places, clock, door), door, clock


async def begun(renderings: Renderings, who: str) -> "asyncio.Task[bool]":
    """Someone who enters, or waits to."""
    task = asyncio.create_task(renderings.enter(who))
    await settle()
    return task


async def test_places_are_given_in_order_of_arrival() -> None:
    renderings, _, _ = made()
    tasks = [await begun(renderings, who) for who in "abcd"]
    assert [task.done() for task in tasks] == [True, True, False, False]
    renderings.leave("b")
    await settle()
    assert [task.done() for task in tasks] == [True, True, True, False]
    renderings.leave("a")
    await settle()
    assert all([await task for task in tasks])


async def test_those_that_cannot_be_in_time_are_sent_away_as_soon_as_they_are_first() -> None:
    renderings, door, _ = made(places=1)
    tasks = [await begun(renderings, who) for who in "abcd"]
    door.may = {"b": False, "c": False}
    renderings.leave("a")
    await settle()
    assert [await task for task in tasks] == [True, False, False, True]


async def test_one_that_depends_on_those_inside_waits_for_them_with_all_behind_it() -> None:
    renderings, door, _ = made(places=4)
    first = await begun(renderings, "a")
    door.may = {"b": None}
    tasks = [await begun(renderings, who) for who in "bc"]
    assert first.done()
    assert not any(task.done() for task in tasks)
    renderings.leave("a")  # nothing is inside now, so there is nothing left to wait for
    await settle()
    assert [await task for task in tasks] == [True, True]
    assert ("b", 1) in door.asked
    assert ("b", 0) in door.asked


async def test_time_and_the_client_end_the_waiting() -> None:
    renderings, _, _ = made(places=1)
    await begun(renderings, "a")
    assert not await renderings.enter("b", within_s=0.0)
    left: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(renderings.enter("c", unless=left))
    await settle()
    left.set_result(None)
    assert not await waiting
    assert renderings.wait_s == 0.0, "nobody waits any more"
    renderings.leave("a")
    assert await renderings.enter("d")


async def test_the_wait_is_foreseen_by_what_renderings_took() -> None:
    renderings, _, clock = made(places=2)
    for _ in range(300):
        assert await renderings.enter("x")
        clock.now_s += 0.5
        renderings.leave("x", rendered=True)
    tasks = [await begun(renderings, who) for who in "abcdef"]
    assert abs(renderings.wait_s - 4 * 0.5 / 2) < 0.01
    clock.now_s += 100.0
    for who in "abcdef":
        renderings.leave(who)  # never rendered, so it says nothing of renderings
        await settle()
    assert renderings.wait_s == 0.0
    await asyncio.gather(*tasks)
    assert renderings._mean_s < 0.51


async def test_any_mix_of_comings_and_goings_loses_no_place() -> None:
    rng = random.Random(1)
    renderings, door, _ = made(places=3)
    tasks: dict[int, asyncio.Task[bool]] = {}
    for number in range(2000):
        door.may[number] = rng.choice([True, True, False, None])
        tasks[number] = asyncio.create_task(renderings.enter(number))
        for _ in range(rng.randint(0, 3)):
            await asyncio.sleep(0)
        gone = rng.randrange(number + 1)
        if rng.random() < 0.2:
            tasks[gone].cancel()
        if rng.random() < 0.8:
            renderings.leave(gone)
        assert len(renderings._begun) <= 3
    for _ in range(2000):
        for who in list(renderings._begun):
            renderings.leave(who)
        await asyncio.sleep(0)
    ends = await asyncio.gather(*tasks.values(), return_exceptions=True)
    assert len(ends) == 2000
    assert not renderings._begun
    assert not renderings._waiting
