"""Rows about to be freed."""

from admission.linger import Lingering


def test_a_row_is_due_after_its_records() -> None:
    rows = Lingering()
    rows.add(7, 0.0, records=2)
    rows.count_record()
    assert rows.due(0.1) == []
    rows.count_record()
    assert rows.due(0.2) == [7]
    assert rows.due(0.3) == []


def test_an_idle_engine_sends_no_records_so_a_second_is_enough() -> None:
    rows = Lingering()
    rows.add(7, 10.0, records=2)
    assert rows.due(10.9) == []
    assert rows.due(11.0) == [7]


def test_a_row_keeps_the_time_it_was_given_first() -> None:
    rows = Lingering()
    rows.add(7, 0.0, records=1)
    rows.add(7, 0.5, records=5)
    rows.count_record()
    assert rows.due(0.5) == [7]


def test_a_row_freed_otherwise_is_not_due() -> None:
    rows = Lingering()
    rows.add(7, 0.0, records=1)
    rows.drop(7)
    rows.drop(8)
    assert rows.due(99.0) == []
    assert len(rows) == 0
