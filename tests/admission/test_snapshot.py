"""Readings of the controller are frozen values: what happens later does not change them."""

from dataclasses import FrozenInstanceError, asdict

import pytest

from admission.controller import Controller
from admission.terms.decision import Limit, Priority
from admission.terms.settings import Settings
from tests.admission.examples import ENGINE, EXACT, accepted, offer, record, shape


def test_a_snapshot_stays_as_it_was_read() -> None:
    controller = Controller(ENGINE, EXACT)
    before = controller.snapshot()
    controller.offer(offer(shape(1000, 500)), 0.0)
    controller.draining = True
    after = controller.snapshot()
    assert (before.occupancy.leases, after.occupancy.leases) == (0, 1)
    assert (before.draining, after.draining) == (False, True)
    with pytest.raises(FrozenInstanceError):
        after.draining = False  # type: ignore[misc]


def test_occupancy_counts_leases_sequences_and_the_queue() -> None:
    controller = Controller(ENGINE, EXACT)
    controller.offer(offer(shape(1000, 500)), 0.0)
    waiting = offer(shape(1000, 500, ignore_eos=False))
    controller.offer(waiting, 0.0)
    seen = controller.snapshot()
    assert (seen.occupancy.leases, seen.occupancy.sequences) == (1, 1)
    assert (seen.occupancy.queue_requests, seen.binding) == (1, Limit.KV)
    assert controller.waiting_by_tenant() == {waiting.tenant: 1}
    assert controller.context(waiting, 0.0).occupancy == seen.occupancy


def test_a_lease_holds_blocks_until_it_is_over() -> None:
    controller = Controller(ENGINE, EXACT)
    lease_id = accepted(controller.offer(offer(shape(100, 50)), 0.0))
    (row,) = controller.rows_of(lease_id)
    controller.progress(record({row: 1}, prefill_tokens=100), 1.0)
    assert controller.blocks_held_by(lease_id) == controller.snapshot().occupancy.held_blocks > 0
    controller.release(lease_id, 2.0, in_engine=False)
    assert controller.blocks_held_by(lease_id) == controller.blocks_held_by(None) == 0


def test_an_explanation_changes_nothing_and_names_the_reserve_that_binds() -> None:
    controller = Controller(ENGINE, Settings(priority_reserve_ratio=0.4, kv_headroom_ratio=0.0))
    controller.offer(offer(shape(300, 100)), 0.0)
    before = asdict(controller.snapshot())
    low = controller.explain(offer(shape(500, 300), priority=Priority.LOW), 0.0)
    high = controller.explain(offer(shape(500, 300), priority=Priority.HIGH), 0.0)
    assert asdict(controller.snapshot()) == before
    assert (low.context.reserved_blocks > 0, high.context.reserved_blocks) == (True, 0)
    assert (low.reserve_binds, high.reserve_binds) == (True, False)
