"""Rows about to be freed."""

from admission.ledger.pending_aborts import PendingAborts


def test_a_row_is_due_after_its_records() -> None:
    rows = PendingAborts()
    rows.add(7, 0.0, records=2)
    rows.count_record(0.1)
    assert rows.due(0.1) == []
    rows.count_record(0.2)
    assert rows.due(0.2) == [7]
    assert rows.due(0.3) == []


def test_an_idle_engine_sends_no_records_so_a_second_is_enough() -> None:
    rows = PendingAborts()
    rows.add(7, 10.0, records=2)
    assert rows.due(10.9) == []
    assert rows.due(11.0) == [7]


def test_a_row_keeps_the_time_it_was_given_first() -> None:
    rows = PendingAborts()
    rows.add(7, 0.0, records=1)
    rows.add(7, 0.5, records=5)
    rows.count_record(0.5)
    assert rows.due(0.5) == [7]


def test_who_was_due_is_remembered_no_longer() -> None:
    rows = PendingAborts()
    for row in range(1000):
        rows.add(row, row / 1000, records=10**6)
    assert rows.due(1.4995) == list(range(500))
    assert len(rows) == 500


def test_records_that_the_engine_made_before_the_end_was_known_do_not_count() -> None:
    rows = PendingAborts()
    rows.add(7, 10.0, records=1)
    for _ in range(20):
        rows.count_record(10.1, age_s=0.2)
    assert rows.due(10.1) == []
    rows.count_record(10.2, age_s=0.1)
    assert rows.due(10.2) == [7]


def test_an_engine_that_sends_records_is_not_idle() -> None:
    rows = PendingAborts()
    rows.add(7, 0.0, records=100)
    for tenth in range(1, 30):
        rows.count_record(tenth / 10)
        assert rows.due(tenth / 10) == []
    assert rows.due(3.9) == [7]


def test_an_engine_that_confirms_ends_holds_rows_until_it_has_heard_of_them() -> None:
    rows = PendingAborts()
    rows.confirms_ends = True
    rows.add(7, 10.0, records=1)
    for _ in range(20):
        rows.count_record(10.1)
    assert rows.due(10.1) == []
    rows.confirm(9.9, 10.2)
    assert rows.unheard, "that question was asked before the end was known"
    rows.confirm(10.1, 10.3)
    assert not rows.unheard
    rows.count_record(10.4, age_s=0.2)  # made before the engine had answered
    rows.count_record(10.4)
    assert rows.due(10.4) == []
    rows.count_record(10.5)
    assert rows.due(10.5) == [7]


def test_an_idle_engine_has_freed_what_it_confirmed() -> None:
    rows = PendingAborts()
    rows.confirms_ends = True
    rows.add(7, 10.0, records=1)
    assert rows.due(100.0) == []
    rows.confirm(10.0, 100.0)
    assert rows.due(100.9) == []
    assert rows.due(101.0) == [7]


def test_a_row_may_grow_unseen_until_the_engine_has_heard_of_its_end() -> None:
    rows = PendingAborts()
    rows.confirms_ends = True
    assert rows.unseen_blocks(16) == 0
    rows.add(7, 0.0, records=1)
    rows.add(8, 0.0, records=1)
    assert rows.unseen_blocks(16) == 2
    for _ in range(16):
        rows.count_record(0.1)
    assert rows.unseen_blocks(16) == 4
