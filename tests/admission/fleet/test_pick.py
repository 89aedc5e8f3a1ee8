"""The pick: least cost, bookings until a board has seen them, who cannot take it."""

import random

import pytest

from admission.fleet.board import Board
from admission.fleet.pick import Ask, Picker, Weights
from tests.admission.fleet.boards import IDLE, board

A, B = 1, 2


def picker(*, books: bool = True, **boards: Board) -> Picker:
    made = Picker(Weights().cost_s, books=books)
    for name, each in boards.items():
        made.heed(name, each, seen=0)
    return made


def chosen(made: Picker, ask: Ask) -> str:
    pick = made.pick(ask, 0.0)
    assert pick is not None
    return pick.engine


def test_the_engine_that_promises_the_first_token_soonest_is_chosen() -> None:
    busy = board(ttft_s=(3.0, 3.5, 5.0, 9.0))
    pick = picker(busy=busy, idle=IDLE).pick(Ask(500), 0.25)
    assert pick is not None
    assert (pick.engine, pick.second, pick.age_s) == ("idle", "busy", 0.25)
    assert pick.second_cost is not None
    assert pick.cost < pick.second_cost


def test_a_cached_prefix_makes_a_busier_engine_the_better_one() -> None:
    names = tuple(range(20))
    cached = board(ttft_s=(0.5, 1.4, 4.5, 17.0), prefixes=frozenset(names), requests=3)
    assert chosen(picker(cached=cached, empty=IDLE), Ask(2_600, names)) == "cached"
    assert chosen(picker(cached=cached, empty=IDLE), Ask(2_600)) == "empty"


def test_a_prompt_costs_those_who_are_there() -> None:
    crowded = board(requests=20)
    assert chosen(picker(crowded=crowded, quiet=board(requests=2)), Ask(1_000)) == "quiet"


def test_equals_are_settled_by_what_their_caches_have_left() -> None:
    assert chosen(picker(a=board(peak_ratio=0.8), b=board(peak_ratio=0.2)), Ask(100)) == "b"


def test_bookings_spread_what_comes_between_two_boards() -> None:
    made = picker(a=IDLE, b=IDLE, c=IDLE)
    assert sorted(chosen(made, Ask(1_000)) for _ in range(6)) == ["a", "a", "b", "b", "c", "c"]


def test_without_bookings_everybody_goes_to_the_same_engine() -> None:
    made = picker(books=False, a=IDLE, b=IDLE)
    assert {chosen(made, Ask(1_000)) for _ in range(6)} == {"a"}


def test_what_is_booked_will_be_cached() -> None:
    made = picker(a=IDLE, b=IDLE)
    first = chosen(made, Ask(4_000, (A, B)))
    pick = made.pick(Ask(300, (A, B)), 0.0)
    assert pick is not None
    assert pick.engine != first  # its prompt is still to be computed there
    made.heed(first, board(prefixes=frozenset({A, B})), seen=1)
    assert chosen(made, Ask(300, (A, B))) == first


def test_a_board_clears_what_it_has_seen_and_no_more() -> None:
    made = picker(a=IDLE)
    for _ in range(3):
        made.pick(Ask(1_000), 0.0)
    made.heed("a", IDLE, seen=2)
    pick = made.pick(Ask(1_000), 0.0)
    assert pick is not None
    alone = picker(a=IDLE).pick(Ask(1_000), 0.0)
    assert alone is not None
    assert pick.cost > alone.cost
    made.heed("a", IDLE, seen=made.dispatched)
    again = made.pick(Ask(1_000), 0.0)
    assert again is not None
    assert again.cost == alone.cost


def test_closed_and_small_engines_are_passed_over() -> None:
    made = picker(closed=board(open=False), small=board(max_model_len=100), large=IDLE)
    pick = made.pick(Ask(500), 0.0)
    assert pick is not None
    assert (pick.engine, pick.second, pick.second_cost) == ("large", None, None)
    assert made.pick(Ask(9_000), 0.0) is None


def test_a_choice_may_be_limited_and_an_engine_forgotten() -> None:
    made = picker(a=IDLE, b=board(requests=9))
    pick = made.pick(Ask(500), 0.0, among=["b", "gone"])
    assert pick is not None
    assert pick.engine == "b"
    made.forget("a")
    assert chosen(made, Ask(500)) == "b"
    made.forget("b")
    assert made.pick(Ask(500), 0.0) is None


@pytest.mark.parametrize("seed", range(20))
def test_nothing_that_is_closed_or_too_small_is_ever_chosen(seed: int) -> None:
    rng = random.Random(seed)
    boards = {
        str(n): board(
            open=rng.random() < 0.7,
            max_model_len=rng.choice([200, 2_000, 8_000]),
            requests=rng.randrange(30),
            ttft_s=tuple(sorted(rng.uniform(0, 20) for _ in range(4))),
        )
        for n in range(5)
    }
    made = picker(**boards)
    for _ in range(50):
        ask = Ask(rng.randrange(1, 9_000))
        pick = made.pick(ask, 0.0)
        able = [name for name, each in boards.items() if each.takes(ask.prompt_tokens)]
        assert (pick is None) == (not able)
        assert pick is None or pick.engine in able
