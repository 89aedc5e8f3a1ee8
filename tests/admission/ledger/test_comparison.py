"""Ledger and engine compared at a step record: once, for what may be promised and for operators."""

from admission.controller import Controller
from admission.ledger.comparison import Comparison
from admission.terms.settings import Settings
from tests.admission.examples import ENGINE, accepted, offer, record, shape


def compared(held: int, unseen: int, sequences: int, used: int) -> Comparison:
    return Comparison(held, unseen, sequences, used, 0.0)


def test_within_a_block_per_sequence_and_what_is_unseen_both_agree() -> None:
    assert [compared(100, 4, 3, used).agreed_blocks for used in (97, 100, 104)] == [97, 100, 104]
    assert [compared(100, 4, 3, used).agreed_blocks for used in (90, 110)] == [97, 104]
    assert [compared(100, 4, 3, used).missing_blocks for used in (100, 104, 110)] == [-4, 0, 6]


def test_a_record_is_compared_after_what_it_says_was_taken_in() -> None:
    controller = Controller(ENGINE, Settings())
    (row,) = controller.rows_of(accepted(controller.offer(offer(shape(160, 160)), 0.0)))
    assert controller.comparison is None
    controller.progress(record({row: 1}, prefill_tokens=160, kv_used_ratio=0.12), 0.1)
    assert controller.comparison == Comparison(11, 0, 1, 12, 0.12)
    controller.progress(record({row: 2}), 0.2)
    assert controller.comparison is None


def test_rows_that_are_free_with_a_record_are_not_held_against_it() -> None:
    controller = Controller(ENGINE, Settings())
    lease = accepted(controller.offer(offer(shape(160, 160)), 0.0))
    (row,) = controller.rows_of(lease)
    controller.progress(record({row: 1}, prefill_tokens=160, kv_used_ratio=0.11), 0.1)
    controller.release(lease, 0.1, in_engine=True)
    told = []
    for _ in range(3):
        controller.progress(record({}, kv_used_ratio=0.0), 0.2)
        told.append(controller.comparison)
    assert [seen.held_blocks for seen in told if seen] == [11, 11, 0]
