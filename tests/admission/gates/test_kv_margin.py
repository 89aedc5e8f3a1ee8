"""What may be promised of the KV cache follows what the engine does."""

import pytest

from admission.controller import Controller
from admission.gates.kv_margin import KvMargin
from admission.ledger.comparison import Comparison
from admission.terms.settings import Settings
from tests.admission.examples import ENGINE, record


def started(headroom_ratio: float = 0.02) -> KvMargin:
    margin = KvMargin(headroom_ratio)
    margin.pass_time(0.0)
    return margin


def compared(held: int, *, unseen: int, sequences: int, used: int) -> Comparison:
    return Comparison(held, unseen, sequences, used, 0.0)


def test_all_but_the_headroom_may_be_promised_at_first() -> None:
    assert started().promised_ratio == pytest.approx(0.98)


def test_a_second_with_preemptions_costs_two_hundredths_each_and_five_count() -> None:
    margin = started()
    margin.preempted(3)
    margin.pass_time(0.9)
    assert margin.promised_ratio == pytest.approx(0.98), "the second is not over"
    margin.pass_time(1.0)
    assert margin.promised_ratio == pytest.approx(0.98 * 0.94)
    margin.preempted(1000)
    margin.pass_time(2.0)
    assert margin.promised_ratio == pytest.approx(0.98 * 0.94 * 0.9)


def test_every_quiet_second_gives_a_thousandth_back_up_to_the_headroom() -> None:
    margin = started()
    margin.preempted(5)
    margin.pass_time(1.0)
    margin.pass_time(11.5)
    assert margin.promised_ratio == pytest.approx(0.98 * 0.9 + 0.010)
    margin.pass_time(500.0)
    assert margin.promised_ratio == pytest.approx(0.98)
    assert margin.lost_ratio == pytest.approx(0.0)


def test_never_less_than_six_tenths_for_preemptions() -> None:
    margin = started()
    for second in range(1, 100):
        margin.preempted(9)
        margin.pass_time(float(second))
    assert margin.promised_ratio == pytest.approx(0.6)


def test_an_engine_that_holds_more_than_the_ledger_says_may_be_promised_less() -> None:
    margin = started(0.0)
    for _ in range(1000):
        margin.heed(compared(100, unseen=2, sequences=5, used=107))
    assert margin.bias_ratio == pytest.approx(1.05)
    assert margin.promised_ratio == pytest.approx(1 / 1.05)


def test_sharing_prompts_is_reported_and_promises_no_more() -> None:
    margin = started(0.0)
    for _ in range(1000):
        margin.heed(compared(100, unseen=0, sequences=5, used=75))
    assert margin.bias_ratio == pytest.approx(0.8)
    assert margin.promised_ratio == pytest.approx(1.0)


def test_what_was_ordered_ahead_and_a_block_per_sequence_are_no_error() -> None:
    margin = started(0.0)
    margin.heed(compared(100, unseen=4, sequences=3, used=104))
    margin.heed(compared(100, unseen=4, sequences=3, used=97))
    assert margin.bias_ratio == pytest.approx(1.0)


def test_while_statistics_are_stale_five_hundredths_are_kept_besides() -> None:
    margin = started()
    margin.stale = True
    assert margin.promised_ratio == pytest.approx(0.93)
    margin.stale = False
    assert margin.promised_ratio == pytest.approx(0.98)


def test_another_headroom_leaves_what_was_lost() -> None:
    margin = started()
    margin.preempted(5)
    margin.pass_time(1.0)
    margin.reconfigure(0.1)
    assert margin.promised_ratio == pytest.approx(0.9 - 0.098)


def test_the_controller_promises_less_after_preemptions() -> None:
    gate = Controller(ENGINE, Settings(kv_headroom_ratio=0.0))
    gate.tick(0.0)
    before = gate.headroom.block_limit
    gate.progress(record({}, preempted=5), 0.5)
    gate.tick(1.0)
    assert gate.headroom.block_limit == int(before * 0.9)
