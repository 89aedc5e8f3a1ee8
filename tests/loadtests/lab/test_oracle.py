"""Schedules made with true lengths, and the bound above all of them."""

from dataclasses import replace

import pytest

from admission.speed.linear_steps import StepCoefficients
from loadtests.lab.oracle.clairvoyant import (
    LATE,
    TOO_DEAR,
    TOO_LONG,
    Binding,
    Clairvoyant,
    Order,
    Schedule,
)
from loadtests.lab.oracle.known_engine import KnownEngine, cost_s
from loadtests.lab.playing.door import Bounds, Ruling
from loadtests.lab.playing.play import Play
from serve.engine_step import EngineStep, Finished
from tests.loadtests.lab.fake_virtual_engine import SHAPE, FakeVirtualEngine
from tests.loadtests.lab.lab_cases import asked, workload_of

BOUNDS = Bounds(ttft_s=1.0, tpot_s=0.2)
LINE = StepCoefficients(
    fixed_s=0.02, prefill_token_s=0.001, decode_sequence_s=0.001, context_token_s=1e-6
)


def door(plan: Schedule, *, dear_s: float = float("inf"), **shape: int) -> Clairvoyant:
    return fleet(plan, 1, dear_s=dear_s, **shape)


def fleet(
    plan: Schedule, engines: int, *, dear_s: float = float("inf"), **shape: int
) -> Clairvoyant:
    known = [
        KnownEngine(replace(SHAPE, **shape), LINE, BOUNDS, margin=plan.margin)
        for _ in range(engines)
    ]
    return Clairvoyant(plan, known, BOUNDS, dear_s=dear_s)


def test_who_does_not_fit_waits_and_those_behind_are_tried_only_by_plans_that_skip() -> None:
    small = {"usable_blocks": 8}
    for skips, expected in ((False, []), (True, [Ruling(2)])):
        clairvoyant = door(Schedule(Order.ARRIVAL, skips=skips), **small)
        assert clairvoyant.offer(asked(0, 0.0, prompt=48, output=8), 0.0) == [Ruling(0)]
        assert clairvoyant.offer(asked(1, 0.0, prompt=64, output=8), 0.0) == []
        assert clairvoyant.offer(asked(2, 0.0, prompt=8, output=2), 0.0) == expected


def test_cost_order_takes_the_cheapest_first() -> None:
    clairvoyant = door(Schedule(Order.COST, skips=False), max_sequences=1)
    clairvoyant.offer(asked(0, 0.0), 0.0)
    clairvoyant.offer(asked(1, 0.0, output=60), 0.0)
    clairvoyant.offer(asked(2, 0.0, output=2), 0.0)
    waiting = [number for _, number, _ in clairvoyant._waiting]
    assert waiting == [2, 1]


def test_a_request_is_given_up_when_its_first_token_cannot_come_in_time() -> None:
    clairvoyant = door(Schedule(Order.ARRIVAL, skips=False), max_sequences=1)
    clairvoyant.offer(asked(0, 0.0, output=60), 0.0)
    clairvoyant.offer(asked(1, 0.0), 0.0)
    assert clairvoyant.tick(0.5) == []
    assert clairvoyant.tick(0.99) == [Ruling(1, LATE)]


def test_a_prompt_that_would_slow_a_running_answer_beyond_its_bound_waits() -> None:
    clairvoyant = door(Schedule(Order.ARRIVAL, skips=False, margin=1.0))
    clairvoyant.offer(asked(0, 0.0, output=3), 0.0)
    long_prompt = asked(1, 0.0, prompt=600, output=2)
    assert clairvoyant.offer(long_prompt, 0.0) == []  # 0.4 s allowed, 0.6 s of prompt


def test_a_prompt_that_takes_too_long_alone_is_told_apart() -> None:
    shape = {"usable_blocks": 1000}
    clairvoyant = door(Schedule(Order.ARRIVAL, skips=False), **shape)
    assert clairvoyant.offer(asked(0, 0.0, prompt=1000), 0.0) == [Ruling(0, TOO_LONG)]


def test_dear_requests_are_left_to_others() -> None:
    clairvoyant = door(Schedule(Order.COST, skips=True), dear_s=0.5)
    dear = asked(0, 0.0, prompt=800)
    assert cost_s(dear, LINE, SHAPE.capacity_tokens) > 0.5
    assert clairvoyant.offer(dear, 0.0) == [Ruling(0, TOO_DEAR)]


def test_an_answer_that_may_still_keep_its_bound_is_not_given_up() -> None:
    clairvoyant = door(Schedule(Order.ARRIVAL, skips=False, margin=0.8))
    clairvoyant.offer(asked(0, 0.0, output=3), 0.0)
    clairvoyant._engines[0]._guests["0"].first_at_s = 0.0
    prompt = asked(1, 0.0, prompt=30, output=2)
    for heard_at_s, fits in ((0.1, True), (0.3, False), (0.4, True)):  # 0.32 of 0.4 s are planned
        clairvoyant._engines[0]._step_began_at_s = heard_at_s
        assert clairvoyant._engines[0]._keeps_tpot(prompt) is fits


def test_what_the_cache_has_forgotten_is_computed_again() -> None:
    clairvoyant = door(
        Schedule(Order.ARRIVAL, skips=False), prefix_caching=True, max_model_len=4096
    )
    one, other = (replace(asked(n, 0.0, prompt=520), prefix=("a",)) for n in range(2))
    clairvoyant.offer(one, 0.0)
    assert clairvoyant._engines[0].new_tokens(other) == 8
    ended = Finished("0", 4, "stop", 0.0, 0.0, 0.0, 0)
    clairvoyant.stepped(0, EngineStep({}, finished=(ended,), kv_used_ratio=0.0), 1.0)
    assert clairvoyant._engines[0].new_tokens(other) == 8
    clairvoyant.stepped(0, EngineStep({}, kv_used_ratio=0.9), 2.0)
    assert clairvoyant._engines[0].new_tokens(other) > 8


def test_all_are_served_where_there_is_room_for_all() -> None:
    requests = [asked(n, 0.3 * n) for n in range(20)]
    for plan in (Schedule(Order.ARRIVAL, skips=False), Schedule(Order.COST, skips=True)):
        workload = workload_of(*requests)
        played = Play(workload, [FakeVirtualEngine()], door(plan), BOUNDS).run()
        assert all(each.good(BOUNDS) for each in played.outcomes)


def test_a_request_waits_for_the_engine_with_its_prefix_until_time_presses() -> None:
    shape = {"prefix_caching": True, "max_model_len": 4096, "max_sequences": 1}
    one, other = (replace(asked(n, 0.0, prompt=520), prefix=("a",)) for n in range(2))
    for binding, expected in (
        (Binding.ANY, [Ruling(1, engine=1)]),
        (Binding.NEAR, []),
    ):
        clairvoyant = fleet(Schedule(Order.ARRIVAL, skips=False, binding=binding), 2, **shape)
        assert clairvoyant.offer(one, 0.0) == [Ruling(0, engine=0)]
        assert clairvoyant.offer(other, 0.0) == expected


def test_a_request_is_bound_to_the_engine_that_first_has_room() -> None:
    clairvoyant = fleet(Schedule(Order.ARRIVAL, skips=False), 2, max_sequences=1)
    for number in range(3):
        told = clairvoyant.offer(asked(number, 0.0, output=60), 0.0)
        assert told == ([Ruling(number, engine=number)] if number < 2 else [])
    ended = Finished("1", 4, "stop", 0.0, 0.0, 0.0, 0)
    told = clairvoyant.stepped(1, EngineStep({}, finished=(ended,), kv_used_ratio=0.0), 0.1)
    assert told == [Ruling(2, engine=1)]


def test_the_bound_counts_everybody_where_there_is_room() -> None:
    bound = pytest.importorskip("loadtests.lab.oracle.bound", reason="scipy is not installed")
    workload = workload_of(*(asked(n, 1.0 * n) for n in range(10)))
    assert bound.most_served(workload, LINE, SHAPE, BOUNDS) == pytest.approx(10)


def test_the_bound_is_what_the_prompts_leave_time_for() -> None:
    bound = pytest.importorskip("loadtests.lab.oracle.bound", reason="scipy is not installed")
    burst = workload_of(*(asked(n, 0.0, prompt=400, output=1) for n in range(10)))
    line = StepCoefficients(0.0, 0.001, 0.0, 0.0)
    assert bound.most_served(burst, line, SHAPE, BOUNDS) == pytest.approx(2.5)


def test_a_shared_prefix_costs_nothing_the_second_time() -> None:
    bound = pytest.importorskip("loadtests.lab.oracle.bound", reason="scipy is not installed")
    shape = replace(SHAPE, max_model_len=4096)
    requests = [replace(asked(n, 0.0, prompt=1025, output=1), prefix=("a", "b")) for n in range(10)]
    line = StepCoefficients(0.0, 0.0005, 0.0, 0.0)
    assert bound.most_served(workload_of(*requests), line, shape, BOUNDS) == pytest.approx(10)


def test_the_line_below_the_step_times_is_nowhere_above_them() -> None:
    bound = pytest.importorskip("loadtests.lab.oracle.bound", reason="scipy is not installed")
    curved = lambda c: 0.03 + 0.001 * max(c.decode_sequences + c.prefill_tokens, 40)  # noqa: E731
    line = bound.line_below(curved, SHAPE)
    for sequences in range(17):
        for tokens in range(0, 257 - sequences, 16):
            contents = bound.StepContents(sequences, 0, tokens)
            seconds = line.seconds(
                prefill_tokens=tokens, decode_sequences=sequences, context_tokens=0
            )
            if sequences + tokens:
                assert seconds <= curved(contents) + 1e-9
