"""The desk by itself: arrive, wait, run, leave, at times that the test gives."""

from collections.abc import Mapping
from typing import Any

from prometheus_client import CollectorRegistry

from admission.price.footprint import PromptShape, RequestShape
from admission.terms.decision import Outcome, Reason
from admission.terms.settings import Policy, Settings
from serve.engine_step import EngineStep, Finished
from serve.gate.decision_log import DecisionLog
from serve.gate.desk import Desk
from serve.observability.metrics import Metrics
from serve.visit import ApiFamily, Tenant, Visit
from tests.serve.fake_engine import SHAPE

ASKED = RequestShape((PromptShape(40, 20),))


class Lines(list[Mapping[str, Any]]):
    """A decision log that is not written anywhere."""

    def write(self, line: Mapping[str, Any]) -> None:
        self.append(line)


class At:
    """A desk that lets one request run at a time, with its log and its metrics."""

    def __init__(self) -> None:
        self.lines, self.registry = Lines(), CollectorRegistry()
        settings = Settings(policy=Policy.STATIC, static_limit=1)
        metrics, decisions = Metrics(self.registry), DecisionLog(self.lines, wall_s=float)
        self.desk = Desk(SHAPE, settings, metrics=metrics, decisions=decisions)

    def arrives(self, name: str, now_s: float, *, deadline_s: float = 60.0) -> tuple[Visit, bool]:
        tenant = Tenant("team")
        visit = Visit(name, tenant, "/v1/completions", ApiFamily.OPENAI, deadline_s, now_s)
        return visit, self.desk.arrive(visit, ASKED, now_s)

    def decided(self, outcome: Outcome, reason: str = "") -> float | None:
        labels = {"outcome": outcome, "reason": reason}
        return self.registry.get_sample_value("sluice_admission_decisions_total", labels)

    def waited_s(self) -> float | None:
        return self.registry.get_sample_value("sluice_queue_wait_seconds_sum")


def test_who_leaves_the_engine_makes_room_for_the_head_of_the_queue() -> None:
    at = At()
    first, decided = at.arrives("r1", 0.0)
    assert decided
    assert first.lease_id is not None
    second, decided = at.arrives("r2", 1.0)
    assert not decided
    assert (second.lease_id, second.verdict, at.desk.waiting) == (None, None, 1)
    first.engine_ids.append("e1")
    at.desk.starting(first, "e1", ASKED, 1.0)
    done = Finished("e1", 20, "stop", 0, 0.5, 0.1, 0)
    told = [*at.desk.stepped(EngineStep({}, (done,)), 3.0), *at.desk.leave(first, 3.0)]
    told += at.desk.tick(60.0)
    assert told == [second]
    assert second.lease_id is not None
    assert at.desk.waiting == 0
    assert [*at.desk.running] == [second]


def test_a_completion_of_one_token_leaves_nothing_pending() -> None:
    at = At()
    visit, _ = at.arrives("r1", 0.0)
    visit.engine_ids.append("e1")
    at.desk.starting(visit, "e1", ASKED, 0.0)
    done = Finished("e1", 1, "stop", 0, 0.5, 0, 0)  # never seen running
    at.desk.stepped(EngineStep({}, (done,), prefill_tokens=40), 0.5)
    at.desk.leave(visit, 0.5)
    occupancy = at.desk.controller.snapshot().occupancy
    assert (occupancy.leases, occupancy.sequences, occupancy.held_blocks) == (0, 0, 0)
    assert not at.desk.controller.ends_to_confirm


def test_the_time_in_the_queue_runs_from_joining_it_to_the_turn() -> None:
    at = At()
    first, _ = at.arrives("r1", 0.0)
    second = Visit(
        "r2", Tenant("team"), "/v1/completions", ApiFamily.OPENAI, 60.0, arrived_at_s=1.0
    )
    at.desk.arrive(second, ASKED, 3.0)  # two seconds of rendering before
    assert at.desk.leave(first, 5.0) == [second]
    assert (second.queued_s, second.accepted_at_s, at.waited_s()) == (2.0, 5.0, 2.0)


def test_a_client_that_leaves_the_queue_is_written_down_with_its_wait() -> None:
    at = At()
    at.arrives("r1", 0.0)
    second, _ = at.arrives("r2", 1.0)
    at.desk.leave_queue(second, 4.0)
    at.desk.leave_queue(second, 5.0)
    assert at.desk.waiting == 0
    assert (second.finish, second.queued_s) == (Outcome.ABANDONED, 3.0)
    assert (at.decided(Outcome.QUEUED), at.decided(Outcome.ABANDONED)) == (1, 1)
    ended = at.lines[-1]
    assert (ended["id"], ended["waited_s"], ended["finish"]) == ("r2", 3.0, "abandoned")


def test_a_request_whose_time_is_up_leaves_the_queue_with_a_verdict() -> None:
    at = At()
    at.arrives("r1", 0.0)
    second, decided = at.arrives("r2", 1.0, deadline_s=2.0)
    assert not decided
    assert at.desk.tick(2.9) == []
    assert at.desk.tick(3.1) == [second]
    assert second.verdict is not None
    assert second.verdict.reason is not Reason.DRAINING


def test_a_drain_tells_those_that_wait() -> None:
    at = At()
    at.arrives("r1", 0.0)
    second, _ = at.arrives("r2", 1.0)
    assert at.desk.drain(2.0, draining=True) == [second]
    assert second.verdict is not None
    assert second.verdict.reason is Reason.DRAINING
    third, decided = at.arrives("r3", 2.0)
    assert decided
    assert third.verdict is not None
    assert at.desk.drain(3.0, draining=False) == []


def test_new_settings_let_the_queue_move_and_are_named_in_the_log() -> None:
    at = At()
    at.arrives("r1", 0.0)
    second, _ = at.arrives("r2", 1.0)
    assert at.desk.reconfigure(Settings(), "abc", 2.0) == [second]
    assert second.lease_id is not None
    assert at.lines[-1]["config_hash"] == "abc"
