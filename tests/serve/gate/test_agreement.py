"""Ledger and engine held against each other."""

from admission.ledger.comparison import Comparison
from serve.gate.agreement import Agreement


def note(
    check: Agreement,
    held: int,
    used: int,
    *,
    sequences: int = 0,
    unseen: int = 0,
    waiting: bool = False,
) -> None:
    check.note(Comparison(held, unseen, sequences, used, used / 100), waiting=waiting)


def test_a_ledger_below_the_engine_is_counted_with_the_worst_gap() -> None:
    check = Agreement()
    for held, used in ((10, 10), (8, 10), (5, 9)):
        note(check, held, used)
    shown = check.as_json()
    assert (shown["records"], shown["below_records"], shown["worst_below_blocks"]) == (3, 2, 4)


def test_fifteen_percent_and_a_block_per_sequence_above_are_within() -> None:
    check = Agreement()
    note(check, 118, 100, sequences=3)
    assert check.as_json()["worst_above_blocks"] <= 0
    note(check, 119, 100, sequences=3)
    shown = check.as_json()
    assert shown["worst_above_blocks"] == 1.0
    assert shown["worst_above_at"] == {"held": 119, "used": 100, "sequences": 3}


def test_use_of_the_cache_counts_only_while_somebody_waits() -> None:
    check = Agreement()
    assert check.as_json()["kv_used_mean_while_waiting"] is None
    note(check, 10, 10)
    note(check, 80, 80, waiting=True)
    note(check, 90, 90, waiting=True)
    assert check.as_json()["kv_used_mean_while_waiting"] == 0.85


def test_what_an_engine_ordered_ahead_it_may_hold_or_not() -> None:
    check = Agreement()
    for used in (100, 132):
        note(check, 100, used, unseen=32)
    assert check.as_json()["below_records"] == 0
    assert check.as_json()["worst_above_blocks"] <= 0
    note(check, 99, 132)
    assert check.as_json()["worst_below_blocks"] == 33
