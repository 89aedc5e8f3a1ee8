"""Every way to be refused, with its reason, its limit and when to come back."""

import math

import pytest

from admission.controller import Controller
from admission.exchange import Turn
from admission.terms import refusals
from admission.terms.decision import Limit, Priority, Reason, Rejected
from admission.terms.settings import Settings
from tests.admission.examples import (
    ENGINE,
    EXACT,
    accepted,
    engine,
    offer,
    queued,
    record,
    refused,
    shape,
    warm,
)


def comes_back(refusal: Rejected) -> bool:
    """It names a finite time, not less than a second."""
    return refusal.retry_after_s is not None and 1 <= refusal.retry_after_s < math.inf


def full(**settings: object) -> Controller:
    """Nothing of the cache is left for a thousand steps."""
    controller = Controller(ENGINE, Settings(kv_headroom_ratio=0.0, **settings))  # type: ignore[arg-type]
    accepted(controller.offer(offer(shape(600, 1000)), 0.0))
    warm(controller)
    return controller


def test_draining_refuses_every_request_at_once() -> None:
    controller = Controller(ENGINE, EXACT)
    controller.draining = True
    for refusal in (
        controller.precheck("a", 10, now_s=0.0),
        refused(controller.offer(offer(), 0.0)),
        controller.judge(offer(), controller.quote(offer()), 0.0),
    ):
        assert isinstance(refusal, Rejected)
        assert refusal.reason is Reason.DRAINING
        assert comes_back(refusal)


def test_a_dead_engine_refuses_every_request_at_once() -> None:
    controller = Controller(ENGINE, EXACT)
    controller.draining = controller.engine_down = True
    for refusal in (
        controller.precheck("a", 10, now_s=0.0),
        refused(controller.offer(offer(), 0.0)),
    ):
        assert isinstance(refusal, Rejected)
        assert refusal.reason is Reason.ENGINE_DOWN
        assert comes_back(refusal)


def test_a_body_that_cannot_fit_whatever_its_tokens_are_is_not_rendered() -> None:
    controller = Controller(ENGINE, EXACT)
    assert controller.precheck("a", 32 * 1600, now_s=0.0) is None
    refusal = controller.precheck("a", 32 * 1600 + 1, now_s=0.0)
    assert refusal is not None
    assert (refusal.reason, refusal.limit) == (Reason.NEVER_FITS, Limit.KV)
    assert refusal.retry_after_s is None


def test_what_can_never_fit_is_refused_even_by_an_idle_engine_and_is_not_queued() -> None:
    controller = Controller(ENGINE, EXACT)
    refusal = refused(controller.offer(offer(shape(16, 16, sequences=5)), 0.0))
    assert (refusal.reason, refusal.limit) == (Reason.NEVER_FITS, Limit.SLOTS)
    small = Controller(engine(usable_blocks=10), EXACT)
    refusal = refused(small.offer(offer(shape(100, 61)), 0.0))
    assert (refusal.reason, refusal.limit) == (Reason.NEVER_FITS, Limit.KV)
    assert len(small.queue) == 0


def test_more_answers_than_slots_are_refused_before_they_are_priced() -> None:
    controller = Controller(ENGINE, EXACT)
    refusal = controller.hopeless(shape(16, 16, sequences=10**9))
    assert refusal is not None
    assert (refusal.reason, refusal.limit, refusal.param) == (Reason.NEVER_FITS, Limit.SLOTS, "n")
    assert controller.hopeless(shape(16, 16, sequences=4)) is None


def test_a_wait_longer_than_the_deadline_is_refused_without_waiting() -> None:
    controller = full()
    refusal = refused(controller.offer(offer(shape(600, 1000), patience_s=60), 0.0))
    assert (refusal.reason, refusal.limit) == (Reason.KV_CAPACITY, Limit.KV)
    assert comes_back(refusal)
    assert refusal.retry_after_s == pytest.approx(100 + 0.6 - 60, rel=0.1)
    assert "60.0 s" in refusal.message
    assert len(controller.queue) == 0
    queued(controller.offer(offer(shape(600, 1000), patience_s=120), 0.0))


def test_a_wait_for_a_slot_names_slots() -> None:
    controller = Controller(ENGINE, EXACT)
    for _ in range(4):
        accepted(controller.offer(offer(shape(16, 300)), 0.0))
    warm(controller)
    refusal = refused(controller.offer(offer(shape(16, 16), patience_s=10), 0.0))
    assert (refusal.reason, refusal.limit) == (Reason.SLOTS, Limit.SLOTS)
    assert comes_back(refusal)


def test_a_wait_for_prompts_to_be_computed_names_the_ttft() -> None:
    controller = Controller(ENGINE, Settings(prefill_backlog_max_tokens=100))
    accepted(controller.offer(offer(shape(1000, 16)), 0.0))
    warm(controller)
    refusal = refused(controller.offer(offer(shape(300, 16), patience_s=0.5), 0.0))
    assert (refusal.reason, refusal.limit) == (Reason.TTFT_SLO, Limit.PREFILL)
    assert comes_back(refusal)


@pytest.mark.parametrize("limit", list(Limit))
def test_every_limit_has_its_reason(limit: Limit) -> None:
    refusal = refusals.too_long(limit, needed_s=3.0, allowed_s=2.5)
    assert refusal.limit is limit
    assert comes_back(refusal)


@pytest.mark.parametrize(
    "bound",
    [
        {"queue_max_requests": 3},
        {"queue_max_requests_per_tenant": 3},
        {"queue_max_tokens": 3 * 1600 + 1599},
    ],
)
def test_the_queue_is_bounded(bound: dict[str, int]) -> None:
    controller = full(**bound)
    for _ in range(3):
        queued(controller.offer(offer(shape(600, 1000)), 0.0))
    refusal = refused(controller.offer(offer(shape(600, 1000)), 0.0))
    assert refusal.reason is Reason.QUEUE_FULL
    assert refusal.limit is Limit.KV
    assert comes_back(refusal)
    assert "3 requests" in refusal.message


def test_a_full_queue_is_known_before_rendering() -> None:
    controller = full(queue_max_requests=2)
    for _ in range(2):
        queued(controller.offer(offer(shape(600, 1000)), 0.0))
    refusal = controller.precheck("b", 10, now_s=0.0)
    assert refusal is not None
    assert refusal.reason is Reason.QUEUE_FULL


def test_without_a_queue_a_request_that_fits_is_still_accepted() -> None:
    controller = Controller(ENGINE, Settings(queue_max_requests=0, queue_max_tokens=0))
    assert controller.precheck("a", 10, now_s=0.0) is None
    accepted(controller.offer(offer(shape(600, 1000)), 0.0))
    assert controller.precheck("a", 10, now_s=0.0) is None
    assert refused(controller.offer(offer(shape(600, 1000)), 0.0)).reason is Reason.QUEUE_FULL


def test_one_tenant_leaves_the_queue_to_others() -> None:
    controller = full(queue_max_requests_per_tenant=2)
    for _ in range(2):
        queued(controller.offer(offer(shape(600, 1000), tenant="greedy"), 0.0))
    assert refused(controller.offer(offer(tenant="greedy"), 0.0)).reason is Reason.QUEUE_FULL
    assert controller.precheck("modest", 10, now_s=0.0) is None
    queued(controller.offer(offer(shape(600, 1000), tenant="modest"), 0.0))


def test_a_queue_full_of_a_lower_class_keeps_no_higher_one_out() -> None:
    controller = full(queue_max_requests=2)
    for _ in range(2):
        queued(controller.offer(offer(shape(600, 1000), priority=Priority.LOW), 0.0))
    assert controller.precheck("a", 10, Priority.LOW, now_s=0.0) is not None
    assert controller.precheck("a", 10, Priority.HIGH, now_s=0.0) is None
    queued(controller.offer(offer(shape(600, 1000), priority=Priority.HIGH), 0.0))


def test_a_deadline_that_passes_in_the_queue_is_answered_when_it_passes() -> None:
    controller = Controller(ENGINE, EXACT)
    accepted(controller.offer(offer(shape(600, 1000)), 0.0))
    ticket = queued(controller.offer(offer(shape(600, 1000), patience_s=5), 0.0))
    assert controller.tick(4.9) == []
    (turn,) = controller.tick(5.0)
    assert (turn.ticket_id, len(controller.queue)) == (ticket, 0)
    assert isinstance(turn.decision, Rejected)
    assert (turn.decision.reason, turn.decision.limit) == (Reason.KV_CAPACITY, Limit.KV)
    assert comes_back(turn.decision)
    assert controller.tick(6.0) == []


def test_a_thousand_deadlines_at_once_are_answered_in_several_passes() -> None:
    controller = Controller(ENGINE, EXACT)
    accepted(controller.offer(offer(shape(600, 1000)), 0.0))
    for number in range(500):
        queued(controller.offer(offer(shape(600, 1000), tenant=f"{number % 2}", patience_s=5), 0.0))
    passes: list[list[Turn]] = []
    while len(controller.queue):
        passes.append(controller.tick(5.0))
    assert max(len(turns) for turns in passes) == 64
    assert sum(len(turns) for turns in passes) == 500


@pytest.mark.parametrize("event", ["draining", "engine_down"])
def test_closing_turns_the_whole_queue_away_at_once(event: str) -> None:
    controller = full()
    tickets = {queued(controller.offer(offer(shape(600, 1000)), 0.0)) for _ in range(100)}
    setattr(controller, event, True)
    turns = controller.tick(0.1)
    assert {turn.ticket_id for turn in turns} == tickets
    assert {str(turn.decision.reason) for turn in turns if isinstance(turn.decision, Rejected)} == {
        event
    }
    assert len(controller.queue) == 0


def test_a_retry_is_finite_without_any_evidence() -> None:
    controller = Controller(ENGINE, Settings(queue_max_requests=0))
    lease_id = accepted(controller.offer(offer(shape(600, 1000)), 0.0))
    controller.progress(record({controller.rows_of(lease_id)[0]: 1}), 0.1)
    assert comes_back(refused(controller.offer(offer(shape(600, 1000)), 0.2)))
