"""An engine that gives no sign of life: hung, then lost; and what admission does meanwhile."""

import pytest

from admission.controller import Controller
from admission.gates.heartbeat import Heartbeat, Patience
from admission.speed.linear_steps import StepCoefficients
from admission.terms.decision import Reason, Rejected
from admission.terms.settings import Mode
from tests.admission.examples import (
    ENGINE,
    EXACT,
    accepted,
    offer,
    queued,
    record,
    refused,
    shape,
)

PATIENCE = Patience(hang_after_s=10.0, replace_after_s=60.0)
LARGE = shape(1000, 500)


def stepped(now_s: float = 0.0) -> Heartbeat:
    """An engine that has computed a step and has more to do."""
    heartbeat = Heartbeat(PATIENCE)
    heartbeat.step(now_s)
    heartbeat.look(running=True, now_s=now_s)
    return heartbeat


def test_an_idle_engine_that_is_not_pinged_is_not_silent() -> None:
    heartbeat = Heartbeat(PATIENCE)
    for now_s in (0.0, 1e6):
        heartbeat.look(running=False, now_s=now_s)
    assert (heartbeat.hung, heartbeat.silent_s) == (False, 0.0)


def test_a_running_engine_hangs_after_the_first_bound_and_is_lost_after_the_second() -> None:
    heartbeat = stepped()
    heartbeat.look(running=True, now_s=10.0)
    assert not heartbeat.hung
    heartbeat.look(running=True, now_s=10.1)
    assert (heartbeat.hung, heartbeat.lost) == (True, False)
    heartbeat.look(running=True, now_s=60.1)
    assert heartbeat.lost


def test_an_unanswered_ping_is_silence_too() -> None:
    heartbeat = Heartbeat(PATIENCE)
    heartbeat.ping(100.0)
    heartbeat.look(running=False, now_s=110.1)
    assert heartbeat.hung
    heartbeat.answered(111.0)
    heartbeat.look(running=False, now_s=200.0)
    assert not heartbeat.hung


def test_a_hung_engine_stays_hung_when_all_callers_have_left_until_it_answers() -> None:
    heartbeat = stepped()
    heartbeat.look(running=True, now_s=11.0)
    heartbeat.look(running=False, now_s=12.0)
    assert heartbeat.hung
    heartbeat.ping(12.0)
    heartbeat.answered(13.0)
    assert not heartbeat.hung


def test_a_lost_engine_is_not_used_again() -> None:
    heartbeat = stepped()
    heartbeat.look(running=True, now_s=61.0)
    heartbeat.step(62.0)
    heartbeat.look(running=True, now_s=62.0)
    assert heartbeat.hung
    assert heartbeat.lost


def test_a_first_step_may_take_a_minute() -> None:
    heartbeat = Heartbeat(PATIENCE)
    heartbeat.look(running=True, now_s=0.0)
    heartbeat.look(running=True, now_s=60.0)
    assert not heartbeat.hung
    heartbeat.look(running=True, now_s=60.1)
    assert heartbeat.hung
    assert heartbeat.replace_bound_s(running=True) == 120.0


def test_both_bounds_stay_above_the_longest_step_that_the_engine_may_run() -> None:
    controller = Controller(ENGINE, EXACT, PATIENCE)
    controller.know_step_times(StepCoefficients(1.0, 0.02, 0.0, 0.0))  # 512 tokens: 11.24 s
    controller.heartbeat.step(0.0)
    assert controller.heartbeat.hang_bound_s(running=True) == pytest.approx(33.72)
    assert controller.heartbeat.replace_bound_s(running=True) == pytest.approx(67.44)
    assert controller.heartbeat.hang_bound_s(running=False) == 10.0, "a ping needs no step"


# -- admission while the engine is silent ----------------------------------------------------


def one_runs_one_waits() -> tuple[Controller, int, int]:
    """At 0 s; the second one allows 30 s. Returns the lease and the ticket."""
    controller = Controller(ENGINE, EXACT, PATIENCE)
    lease = accepted(controller.offer(offer(LARGE), 0.0))
    (row,) = controller.rows_of(lease)
    controller.progress(record({row: 1}, elapsed_s=0.1), 0.0)
    return controller, lease, queued(controller.offer(offer(LARGE, patience_s=30.0), 0.0))


@pytest.mark.parametrize("mode", list(Mode))
def test_a_silent_engine_closes_admission_in_every_mode(mode: Mode) -> None:
    controller, _, _ = one_runs_one_waits()
    controller.reconfigure(EXACT.__class__(mode=mode))
    controller.tick(10.1)
    refusal = controller.precheck("a", 10, now_s=10.1)
    assert refusal is not None
    assert (refusal.reason, "10 s" in refusal.message) == (Reason.ENGINE_DOWN, True)
    assert refused(controller.offer(offer(shape()), 10.1)).reason is Reason.ENGINE_DOWN


def test_waiting_requests_keep_their_place_until_their_deadline_and_are_told_why() -> None:
    controller, _, ticket = one_runs_one_waits()
    assert controller.tick(29.9) == []
    (turn,) = controller.tick(30.1)
    assert turn.ticket_id == ticket
    assert isinstance(turn.decision, Rejected)
    assert turn.decision.reason is Reason.ENGINE_DOWN


def test_an_engine_that_wakes_up_is_used_again() -> None:
    controller, lease, ticket = one_runs_one_waits()
    controller.tick(20.0)
    turns = controller.progress(record({}, ended=controller.rows_of(lease), elapsed_s=0.1), 21.0)
    assert [turn.ticket_id for turn in turns] == [ticket]
    assert controller.precheck("a", 10, now_s=21.0) is None


def test_an_overdue_request_is_told_of_the_engine_or_of_its_deadline() -> None:
    controller, _, _ = one_runs_one_waits()
    late = controller.overdue(45.0, allowed_s=15.0)
    assert (late.reason, "15.0 s" in late.message) == (Reason.TTFT_SLO, True)
    controller.tick(11.0)
    assert controller.overdue(45.0, allowed_s=15.0).reason is Reason.ENGINE_DOWN
