"""A user's wish in virtual time: what is felt counts from the intended start, waits and all."""

import math
import random
from dataclasses import dataclass, field
from typing import Any

import pytest

from loadtests.asking.ask import Ask
from loadtests.asking.behaviour import Behaviour
from loadtests.asking.prompts import Dialect
from loadtests.asking.schedule import Arrival
from loadtests.asking.tenants import Tenant
from loadtests.client.attempt import Attempt, Call, End
from loadtests.client.journey import Session, live, prepare
from loadtests.client.stream import AnswerReader, Heard
from loadtests.record import Outcome, Record

NOTHING = AnswerReader().heard()
REFUSED = Attempt(End.REFUSED, NOTHING, 429, "kv_capacity", 0.0, 5.0, may_retry=True)
NEVER = Attempt(End.REFUSED, NOTHING, 400, "never_fits", 0.0, None, may_retry=False)


@dataclass
class VirtualClock:
    """Passes only when somebody waits."""

    at_s: float = 0.0

    def now_s(self) -> float:
        return self.at_s

    def sleep(self, seconds: float) -> None:
        self.at_s += seconds


@dataclass
class ScriptedLine:
    """Each attempt takes `takes_s` and ends as scripted; the last script is for all that follow."""

    clock: VirtualClock
    scripts: list[Attempt]
    takes_s: float = 1.0
    calls: list[Call] = field(default_factory=list)

    def attempt(self, call: Call) -> Attempt:
        self.calls.append(call)
        self.clock.sleep(self.takes_s)
        return self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]


def answer(
    first_at_s: float, last_at_s: float, tokens: int = 5, end: End = End.COMPLETE
) -> Attempt:
    gap_s = (last_at_s - first_at_s) / max(1, tokens - 1)
    heard = Heard(
        first_at_s, last_at_s, [gap_s] * (tokens - 1), tokens, 50, 0, "stop", None, complete=True
    )
    return Attempt(end, heard, 200, queued_s=0.5)


def lived(
    *scripts: Attempt, intended_s: float = 0.0, late_s: float = 0.0, **behaviour: Any
) -> tuple[Record, ScriptedLine]:
    """The record of one wish, and the line it asked."""
    clock = VirtualClock(intended_s + late_s)
    line = ScriptedLine(clock, list(scripts))
    session = Session(line, clock, Dialect("m"), Behaviour(**behaviour), "run", deadline_ms=9000)
    arrival = Arrival(intended_s, Ask("chat", 50, 5, 99), Tenant("team", "secret"))
    return live(session, prepare(session, arrival, 7, random.Random(1)), stage="8"), line


def test_an_answer_is_timed_from_its_intended_start() -> None:
    record, _ = lived(answer(12.0, 14.0), intended_s=10.0)
    assert record.outcome is Outcome.ANSWERED
    assert (record.ttft_s, record.tpot_s, record.e2e_s) == (2.0, 0.5, 1.0)
    assert (record.itl_p50_s, record.itl_p95_s, record.itl_max_s) == (0.5, 0.5, 0.5)
    assert (record.queued_s, record.stage, record.tenant) == (0.5, "8", "team")


def test_a_late_client_makes_the_latency_longer_and_says_so() -> None:
    record, _ = lived(answer(12.0, 14.0), intended_s=10.0, late_s=0.25)
    assert record.lag_s == 0.25
    assert record.e2e_s == 1.25


def test_one_token_has_no_time_per_output_token() -> None:
    record, _ = lived(answer(1.0, 1.0, tokens=1))
    assert (record.ttft_s, record.tpot_s, record.itl_max_s) == (1.0, None, None)


def test_a_judge_takes_the_first_refusal() -> None:
    record, line = lived(REFUSED)
    assert (record.outcome, record.reason, record.status) == (Outcome.REFUSED, "kv_capacity", 429)
    assert (record.retries, len(line.calls)) == (0, 1)
    assert record.ttft_s is None


def test_who_comes_back_when_told_feels_refusal_and_wait() -> None:
    record, line = lived(REFUSED, answer(8.0, 9.0), retries=1)
    assert (record.outcome, record.retries, record.waited_s) == (Outcome.ANSWERED, 1, 5.0)
    assert record.ttft_s == 8.0
    assert record.e2e_s == 7.0  # one second refused, five waited, one answered
    assert [call.headers["x-request-id"] for call in line.calls] == ["run-7", "run-7.1"]


def test_who_is_refused_again_and_again_stops_at_the_last_retry() -> None:
    record, line = lived(REFUSED, retries=3)
    assert (record.outcome, record.retries, len(line.calls)) == (Outcome.REFUSED, 3, 4)


def test_what_can_never_be_is_not_asked_again() -> None:
    record, line = lived(NEVER, retries=3)
    assert (record.reason, len(line.calls)) == ("never_fits", 1)


def test_nobody_waits_beyond_their_patience() -> None:
    record, line = lived(REFUSED, retries=9, patience_s=10.0)
    assert record.outcome is Outcome.REFUSED
    assert len(line.calls) == 2  # at 0 s and 6 s; the third would be at 12 s
    assert all(call.gives_up_at_s == 10.0 for call in line.calls)


@pytest.mark.parametrize(
    ("end", "outcome"),
    [
        (End.GAVE_UP, Outcome.TIMED_OUT),
        (End.HUNG_UP, Outcome.CANCELLED),
        (End.BROKEN, Outcome.FAILED),
    ],
)
def test_every_other_end_is_an_outcome_of_its_own(end: End, outcome: Outcome) -> None:
    assert lived(Attempt(end, NOTHING))[0].outcome is outcome


def test_who_hangs_up_still_has_a_first_token() -> None:
    record, _ = lived(answer(1.0, 3.0, tokens=3, end=End.HUNG_UP))
    assert (record.outcome, record.ttft_s, record.tpot_s) == (Outcome.CANCELLED, 1.0, 1.0)


def test_headers_name_run_caller_and_deadline() -> None:
    _, line = lived(answer(1.0, 2.0))
    (call,) = line.calls
    assert call.path == "/v1/chat/completions"
    assert call.headers["x-sluice-run"] == "run"
    assert call.headers["authorization"] == "Bearer secret"
    assert call.headers["x-slo-ttft-ms"] == "9000"
    assert call.gives_up_at_s == math.inf


def test_the_record_of_a_tenant_holds_no_key() -> None:
    assert "secret" not in lived(answer(1.0, 2.0))[0].line()
