"""Silence of the engine, and records that say too little."""

from admission.controller import Controller
from admission.gates.freshness import Freshness
from admission.price.footprint import PromptShape, RequestShape
from admission.terms.settings import Settings
from serve.gate.steady_clock import SteadyClock
from tests.admission.examples import ENGINE, accepted, offer, record


def test_an_idle_engine_has_nothing_to_report() -> None:
    fresh = Freshness()
    for second in range(100):
        fresh.look(running=False, now_s=float(second))
    assert not fresh.stale


def test_two_seconds_without_a_record_while_sequences_run_are_silence() -> None:
    fresh = Freshness()
    fresh.look(running=False, now_s=9.9)
    fresh.look(running=True, now_s=10.0)
    fresh.hear(elapsed_s=0.1, usage_known=True, now_s=10.5)
    fresh.look(running=True, now_s=12.5)
    assert not fresh.silent
    fresh.look(running=True, now_s=12.6)
    assert fresh.silent
    assert not fresh.usage_missing, "nothing comes at all: that is one fault, not two"
    fresh.hear(elapsed_s=0.1, usage_known=True, now_s=12.7)
    fresh.look(running=True, now_s=12.7)
    assert not fresh.stale


def test_an_engine_of_long_steps_is_waited_for() -> None:
    fresh = Freshness()
    fresh.look(running=True, now_s=0.0)
    fresh.hear(elapsed_s=3.0, usage_known=True, now_s=3.0)
    fresh.look(running=True, now_s=11.9)
    assert not fresh.silent
    fresh.look(running=True, now_s=12.1)
    assert fresh.silent


def test_records_that_do_not_say_what_is_held_are_noticed() -> None:
    fresh = Freshness()
    fresh.look(running=True, now_s=0.0)
    for tenth in range(1, 30):
        fresh.hear(elapsed_s=0.1, usage_known=False, now_s=tenth / 10)
        fresh.look(running=True, now_s=tenth / 10)
    assert fresh.usage_missing
    assert not fresh.silent


def test_a_controller_that_hears_nothing_promises_less_until_it_does() -> None:
    gate = Controller(ENGINE, Settings(kv_headroom_ratio=0.0))
    shape = RequestShape((PromptShape(16, 100),))
    lease = accepted(gate.offer(offer(shape), 0.0))
    (row,) = gate.rows_of(lease)
    gate.tick(0.1)
    gate.tick(2.2)
    assert gate.headroom.block_limit == int(0.95 * ENGINE.usable_blocks)
    gate.progress(record({row: 1}, elapsed_s=0.1, kv_used_ratio=0.02), 2.3)
    assert gate.headroom.block_limit == ENGINE.usable_blocks


def test_a_gap_counts_as_nothing() -> None:
    clock = SteadyClock()
    assert clock.at(100.0) == 100.0
    assert clock.at(105.0) == 105.0
    assert clock.at(165.0) == 105.0
    assert clock.at(166.0) == 106.0
    assert clock.lost_s == 60.0
