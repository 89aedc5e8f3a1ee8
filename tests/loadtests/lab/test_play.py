"""The lab's clock: what happens when, and what is counted."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from admission.terms.settings import Mode, Policy, Settings
from loadtests.lab.catalogue import STATIC_LIMITS, Variant, variants_of
from loadtests.lab.comparing.capacity import highest
from loadtests.lab.comparing.difference import difference
from loadtests.lab.playing.door import Bounds, Ruling
from loadtests.lab.playing.fifo import FULL, TIMED_OUT, Fifo
from loadtests.lab.playing.gateway import OurGateway
from loadtests.lab.playing.play import TICK_S, Played, next_tick_s, play_one
from loadtests.lab.playing.workload import TraceRequest, TraceWorkload
from loadtests.lab.policies.queued_tokens import QueuedTokens
from loadtests.lab.summary import row
from serve.engine_step import EngineStep
from tests.loadtests.lab.fake_virtual_engine import SHAPE, FakeVirtualEngine
from tests.loadtests.lab.lab_cases import asked, workload_of

BOUNDS = Bounds(ttft_s=1.0, tpot_s=0.2)


class Open:
    """A door that lets everybody in."""

    waiting = 0

    def offer(self, request: TraceRequest, now_s: float) -> Sequence[Ruling]:
        return [Ruling(request.number)]

    def stepped(self, step: EngineStep, now_s: float) -> Sequence[Ruling]:
        return []

    def tick(self, now_s: float) -> Sequence[Ruling]:
        return []


def play(workload: TraceWorkload, door: object = None, step_s: float = 0.1) -> Played:
    engine = FakeVirtualEngine(step_s=step_s)
    return play_one(workload, engine, door or Open(), BOUNDS)  # type: ignore[arg-type]


def test_a_request_has_its_times_from_its_arrival_on() -> None:
    (only,) = play(workload_of(asked(0, 2.0, output=5))).outcomes
    assert only.ttft_s == pytest.approx(0.1)
    assert only.tpot_s == pytest.approx(0.1)
    assert only.output_tokens == 5
    assert only.good(BOUNDS)


def test_a_request_that_comes_while_a_step_runs_is_heard_when_it_ends() -> None:
    outcomes = play(workload_of(asked(0, 0.0), asked(1, 0.04))).outcomes
    assert outcomes[1].ttft_s == pytest.approx(0.16)


def test_the_same_is_played_twice_alike() -> None:
    requests = [asked(n, 0.07 * n, output=1 + n % 5) for n in range(40)]
    settings = replace(Settings(), policy=Policy.STATIC, static_limit=3)
    runs = [play(workload_of(*requests), OurGateway(SHAPE, settings, BOUNDS)) for _ in range(2)]
    assert [repr(each) for each in runs[0].outcomes] == [repr(each) for each in runs[1].outcomes]


def test_a_tick_is_always_later_than_now() -> None:
    ticks = [place * TICK_S for place in range(5000)]
    assert all(now_s < next_tick_s(now_s) <= now_s + 2 * TICK_S for now_s in ticks)


def test_it_stops_when_nothing_counted_can_still_change() -> None:
    late = workload_of(*(asked(n, 0.001 * n, output=60) for n in range(3)), asked(3, 0.01))
    played = play(late, step_s=2.0)
    assert played.ended_at_s < 3.0
    assert not any(each.good(BOUNDS) for each in played.outcomes)


def test_a_tpot_beyond_its_bound_is_not_good() -> None:
    (only,) = play(workload_of(asked(0, 0.0)), step_s=0.3).outcomes
    assert only.ttft_s == pytest.approx(0.3)
    assert not only.good(BOUNDS)


def test_static_holds_its_number_and_the_line_moves_as_others_end() -> None:
    engine = FakeVirtualEngine()
    settings = replace(Settings(), policy=Policy.STATIC, static_limit=2)
    burst = workload_of(*(asked(n, 0.0) for n in range(5)))
    outcomes = play_one(burst, engine, OurGateway(SHAPE, settings, BOUNDS), BOUNDS).outcomes
    assert engine.most_at_once == 2
    assert all(each.refusal is None for each in outcomes[:4])


def test_off_lets_all_in_at_once() -> None:
    engine = FakeVirtualEngine()
    burst = workload_of(*(asked(n, 0.0) for n in range(40)))
    door = OurGateway(SHAPE, replace(Settings(), mode=Mode.OFF), BOUNDS)
    play_one(burst, engine, door, BOUNDS)
    assert engine.most_at_once == 40


def test_footprint_learns_what_the_trace_says_and_gives_every_lease_back() -> None:
    settings = replace(Settings(), cold_start_requests=5)
    door = OurGateway(SHAPE, settings, BOUNDS)
    play(workload_of(*(asked(n, 0.5 * n, output=7) for n in range(20))), door)
    ledger = door.controller.ledger
    assert (ledger.held_blocks, ledger.sequences, len(ledger.leases)) == (0, 0, 0)
    offer = asked(99, 0.0)
    known = door.controller.lengths.predict((("all",),), settings, max_tokens=offer.max_tokens)
    assert known.tokens == 7


def test_oracle_a_knows_lengths_and_learns_nothing() -> None:
    door = OurGateway(SHAPE, Settings(), BOUNDS, knows_lengths=True)
    play(workload_of(*(asked(n, 0.5 * n, output=7) for n in range(5))), door)
    assert door.controller.lengths.version == 0


def test_a_queued_token_limit_refuses_at_once() -> None:
    door = Fifo(QueuedTokens(40), patience_s=0.0)
    outcomes = play(workload_of(*(asked(n, 0.0) for n in range(3))), door).outcomes
    # 32 tokens are below 40 before the second, 64 are not before the third
    assert [each.refusal for each in outcomes] == [None, None, FULL]


def test_who_waits_in_a_plain_line_leaves_it_when_the_first_token_is_due() -> None:
    class Closed:
        def fits(self, *_: object) -> bool:
            return False

        def note(self, *_: object) -> None: ...

    played = play(workload_of(asked(0, 0.0), asked(1, 0.5)), Fifo(Closed(), patience_s=1.0))
    assert [each.refusal for each in played.outcomes] == [TIMED_OUT] * 2
    assert played.ended_at_s == pytest.approx(1.5, abs=0.06)


def test_a_row_counts_all_that_were_offered_after_the_warm_up() -> None:
    requests = [asked(n, 0.5 * n) for n in range(12)]
    workload = workload_of(*requests, warm_up=2)
    found = row("off", None, workload, play(workload), BOUNDS)
    assert (found.offered, found.refused, found.share_of_offered) == (10, 0, 1.0)
    assert found.goodput_per_s == pytest.approx(2.0)
    assert found.share_of_accepted_in_slo == 1.0
    assert found.jain_tenants is None
    assert sum(1 for _ in found.acceptance_by_size) == 4
    assert set(found.as_json()) >= {
        "policy",
        "offered",
        "goodput_per_s",
        "share_of_offered",
        "share_of_accepted_in_slo",
        "refused",
        "preemptions",
        "kv_used_mean",
        "acceptance_by_size",
        "jain_tenants",
    }


def test_two_tenants_that_fare_unlike_have_an_index_below_one() -> None:
    requests = [replace(asked(n, 0.5 * n), tenant="ab"[n % 2]) for n in range(20)]
    workload = workload_of(*requests)
    assert row("off", None, workload, play(workload), BOUNDS).jain_tenants == pytest.approx(1.0)
    slow = [replace(r, output_tokens=1) if r.tenant == "a" else r for r in requests]
    uneven = workload_of(*slow)
    found = row("off", None, uneven, play(uneven, step_s=0.3), BOUNDS)
    assert found.jain_tenants == pytest.approx(0.5), "b's TPOT is beyond its bound"


def test_names_of_policies_and_the_settings_that_are_tried() -> None:
    assert len(variants_of("static", static_n=48)) == len(STATIC_LIMITS)
    assert variants_of("static_one", static_n=7) == (Variant("static_one", 7),)
    with pytest.raises(ValueError, match="no policy 'magic'; there are footprint, off"):
        variants_of("magic", static_n=48)


def test_a_difference_has_an_interval_that_shrinks_with_the_number_of_requests() -> None:
    ours, theirs = [True] * 60 + [False] * 40, [True] * 50 + [False] * 50
    small, large = (difference(ours * n, theirs * n, seed=1) for n in (1, 100))
    assert small.share == large.share == pytest.approx(0.1)
    assert small.low < large.low < 0.1 < large.high < small.high
    assert difference(ours, ours, seed=1) == (0.0, 0.0, 0.0)
    assert difference(ours, theirs, seed=1) == small, "the seed is all that is drawn by"


def test_one_x_is_the_highest_rate_that_is_served() -> None:
    assert highest(lambda scale: 1.0 if scale <= 0.37 else 0.5, most=1.0) == pytest.approx(
        0.37, rel=0.07
    )
    with pytest.raises(ValueError, match="was not found"):
        highest(lambda _: 0.0, most=1.0)


def test_where_a_burst_is_late_at_any_rate_one_x_serves_nearly_what_the_lowest_does() -> None:
    def served(scale: float) -> float:
        return 0.6 if scale <= 0.37 else 0.5

    assert highest(served, most=1.0) == pytest.approx(0.37, rel=0.07)
