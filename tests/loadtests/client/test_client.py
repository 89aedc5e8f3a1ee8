"""The client over real sockets. Times are held against what the sender noted."""

import math
import random
from collections.abc import Iterator
from typing import Any

import gevent
import pytest

from loadtests.asking.ask import Ask
from loadtests.asking.behaviour import JUDGE
from loadtests.asking.prompts import Dialect, Ending, Route, WordCost
from loadtests.asking.schedule import Arrival
from loadtests.asking.tenants import nobody
from loadtests.client.api import Api, EndpointDownError
from loadtests.client.attempt import Attempt, Call, End, HttpLine
from loadtests.client.clock import ModelledClock
from loadtests.client.facts import read_facts
from loadtests.client.journey import Session
from loadtests.client.loops import play
from loadtests.client.self_test import TOKENS, Finding, check_reader
from loadtests.client.watch import CPU_MOST_RATIO, LAG_P99_MOST_S, ClientReport, ClientWatch
from loadtests.limit.crowd import Crowd
from loadtests.record import Outcome, Record
from loadtests.scenarios import CODE
from tests.loadtests.mock_endpoint import MockEndpoint, Script, Seen, serving

LATE_S = 0.25  # real seconds; generous, the machine may be busy


@pytest.fixture
def mock() -> Iterator[MockEndpoint]:
    """Answers three tokens at once, unless a test changes its script."""
    with serving() as endpoint:
        yield endpoint


def attempt(
    endpoint: MockEndpoint, script: Script, clock: ModelledClock | None = None, **call: Any
) -> Attempt:
    """One call to an endpoint that answers as scripted."""
    endpoint.script = lambda _: script
    api = Api(endpoint.url)
    line = HttpLine(api.client, clock or ModelledClock())
    found = line.attempt(Call(Route.CHAT, b"{}", {"x-sluice-run": "r"}, **call))
    api.close()
    return found


# -- time ----------------------------------------------------------------------------------


def test_tokens_are_timed_as_they_were_sent(mock: MockEndpoint) -> None:
    clock = ModelledClock(real_sleep=gevent.sleep)
    began_s = clock._began_s
    found = attempt(mock, Script(first_s=0.1, gap_s=0.02, tokens=8), clock)
    (seen,) = mock.seen
    assert found.heard.first_at_s is not None
    assert found.heard.last_at_s is not None
    assert 0 <= found.heard.first_at_s - (seen.first_sent_s - began_s) < LATE_S
    assert 0 <= found.heard.last_at_s - (seen.last_sent_s - began_s) < LATE_S
    assert len(found.heard.gaps_s) == 7
    assert found.heard.first_at_s >= 0.1


def test_measured_time_is_multiplied_and_waits_are_divided() -> None:
    real = [100.0]
    slept: list[float] = []
    clock = ModelledClock(4.0, real_now=lambda: real[0], real_sleep=slept.append)
    real[0] = 102.5
    clock.sleep(8.0)
    clock.sleep(-1.0)
    assert (clock.now_s(), slept, clock.real_s(2.0)) == (10.0, [2.0], 0.5)


@pytest.mark.parametrize("scale", [0.0, -1.0, math.inf, math.nan])
def test_a_time_scale_that_is_none_is_refused(scale: float) -> None:
    with pytest.raises(ValueError, match="time_scale"):
        ModelledClock(scale)


def test_the_reader_passes_its_own_test() -> None:
    finding = check_reader()
    assert finding.flaw() is None
    assert finding.tokens == TOKENS


@pytest.mark.parametrize(
    ("finding", "flaw"),
    [
        (Finding(0.087, 0.0, TOKENS), "a token was read 0.087 s after it was sent"),
        (Finding(0.0, 0.2, TOKENS), "a token was read 0.200 s"),
        (Finding(0.0, 0.0, 3), "3 tokens read, 20 sent"),
    ],
)
def test_a_reader_that_buffers_would_not_pass(finding: Finding, flaw: str) -> None:
    assert str(finding.flaw()).startswith(flaw)


# -- how an attempt ends -------------------------------------------------------------------


def test_a_whole_answer(mock: MockEndpoint) -> None:
    found = attempt(mock, Script(headers={"x-sluice-queued-ms": "1500"}))
    assert (found.end, found.status, found.queued_s) == (End.COMPLETE, 200, 1.5)
    assert (found.heard.prompt_tokens, found.heard.cached_tokens) == (11, 4)
    assert found.heard.output_tokens == 3
    assert mock.seen[0].headers["x-sluice-run"] == "r"


def test_connections_are_kept_for_the_next_request(mock: MockEndpoint) -> None:
    api = Api(mock.url)
    line = HttpLine(api.client, ModelledClock())
    for _ in range(3):
        assert line.attempt(Call(Route.CHAT, b"{}", {})).end is End.COMPLETE
    assert api.client._connection_pool._socket_queue.qsize() == 1
    api.close()


def test_a_refusal_says_why_and_when_to_come_back(mock: MockEndpoint) -> None:
    headers = {
        "x-sluice-reason": "ttft_slo",
        "retry-after": "3",
        "retry-after-ms": "2100",
        "x-should-retry": "true",
    }
    found = attempt(mock, Script(status=429, headers=headers, code="ttft_slo"))
    assert (found.end, found.status, found.reason) == (End.REFUSED, 429, "ttft_slo")
    assert (found.retry_after_s, found.may_retry) == (2.1, True)


def test_another_gateways_refusal_is_understood(mock: MockEndpoint) -> None:
    found = attempt(mock, Script(status=503, headers={"retry-after": "7"}, code="overloaded"))
    assert (found.end, found.reason, found.retry_after_s) == (End.REFUSED, "overloaded", 7.0)


def test_a_date_in_retry_after_is_nothing_to_wait_for(mock: MockEndpoint) -> None:
    headers = {"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}
    assert attempt(mock, Script(status=429, headers=headers)).retry_after_s is None


def test_what_never_fits_is_not_worth_a_retry(mock: MockEndpoint) -> None:
    headers = {"x-sluice-reason": "never_fits", "x-should-retry": "false"}
    found = attempt(mock, Script(status=400, headers=headers))
    assert (found.end, found.may_retry) == (End.REFUSED, False)


def test_a_plain_400_is_a_fault_of_the_load_test(mock: MockEndpoint) -> None:
    found = attempt(mock, Script(status=400, code="invalid_request"))
    assert (found.end, found.reason, found.may_retry) == (End.BROKEN, "invalid_request", False)


def test_an_error_inside_a_stream(mock: MockEndpoint) -> None:
    found = attempt(mock, Script(tokens=5, error_after=2))
    assert (found.end, found.reason) == (End.BROKEN, "engine_died")
    assert found.heard.first_at_s is not None


def test_a_stream_that_is_cut(mock: MockEndpoint) -> None:
    found = attempt(mock, Script(tokens=5, cut_after=2, gap_s=0.01))
    assert (found.end, found.status) == (End.BROKEN, 200)
    assert found.heard.output_tokens == 2


def test_nobody_there() -> None:
    api = Api("http://127.0.0.1:9")
    found = HttpLine(api.client, ModelledClock()).attempt(Call(Route.CHAT, b"{}", {}))
    assert (found.end, found.status, found.reason) == (End.BROKEN, 0, "ConnectionRefusedError")


def test_patience_ends_before_the_first_token(mock: MockEndpoint) -> None:
    found = attempt(mock, Script(first_s=5.0), gives_up_at_s=0.2)
    assert (found.end, found.heard.first_at_s) == (End.GAVE_UP, None)


def test_patience_is_modelled_time(mock: MockEndpoint) -> None:
    clock = ModelledClock(100.0)
    assert attempt(mock, Script(first_s=5.0), clock, gives_up_at_s=20.0).end is End.GAVE_UP
    assert clock.now_s() < 300


def test_after_the_first_token_everybody_stays(mock: MockEndpoint) -> None:
    found = attempt(mock, Script(gap_s=0.1, tokens=5), gives_up_at_s=0.3)
    assert (found.end, found.heard.output_tokens) == (End.COMPLETE, 5)


def test_who_hangs_up_in_the_middle_is_seen_to_leave(mock: MockEndpoint) -> None:
    found = attempt(mock, Script(gap_s=0.02, tokens=400), hangs_up_after=3)
    assert (found.end, found.heard.output_tokens) == (End.HUNG_UP, 3)
    for _ in range(100):
        if not mock.running:
            break
        gevent.sleep(0.05)
    assert not mock.running


# -- what is known before a run ------------------------------------------------------------


def test_facts_are_asked_of_the_endpoint() -> None:
    state = {"time_scale": 4.0, "simulation": {}, "mode": "enforce", "config": "abc"}
    with serving(state=state) as endpoint:
        api = Api(endpoint.url, key="admin")
        facts = read_facts(api)
        api.close()
    assert (facts.model, facts.max_model_len) == ("mock", 4096)
    assert (facts.time_scale, facts.mode, facts.config) == (4.0, "enforce", "abc")
    assert facts.cost == WordCost(tokens_per_word=1.5, template_tokens=9.0)
    assert facts.dialect(Route.CHAT, None).ending is Ending.SIMULATED
    assert facts.dialect(Route.CHAT, Ending.EXACT).ending is Ending.EXACT


def test_an_endpoint_that_is_no_sluice_keeps_real_time(mock: MockEndpoint) -> None:
    api = Api(mock.url)
    facts = read_facts(api)
    api.close()
    assert (facts.time_scale, facts.simulated, facts.mode) == (1.0, False, None)
    assert facts.dialect(Route.CHAT, None).ending is Ending.FREE


def test_who_may_not_see_the_time_scale_measures_nothing(mock: MockEndpoint) -> None:
    mock.state_status = 403
    mock.versions = {"version": "1", "sluice": "1"}
    api = Api(mock.url)
    with pytest.raises(ValueError, match="status 403; its time_scale must be known"):
        read_facts(api)
    api.close()


def test_an_endpoint_that_is_down_is_named() -> None:
    with pytest.raises(EndpointDownError, match=r"http://127.0.0.1:9/v1/models: Connection"):
        read_facts(Api("http://127.0.0.1:9"))


# -- could the client keep up --------------------------------------------------------------


def test_a_client_that_slept_was_not_late() -> None:
    watch = ClientWatch(ModelledClock())
    watch.start()
    gevent.sleep(0.3)
    watch.stop()
    report = watch.report()
    assert report.beats >= 1
    assert report.cpu_ratio < CPU_MOST_RATIO


def test_a_client_that_was_busy_was_late() -> None:
    clock = ModelledClock(10.0)
    watch = ClientWatch(clock)
    watch.start()
    gevent.sleep(0.06)
    until_s = clock.now_s() + 3.0
    while clock.now_s() < until_s:
        sum(range(1000))
    gevent.sleep(0.06)
    watch.stop()
    assert watch.report().lag_p99_s > 1.0
    assert watch.report().stood_still_s > 0.1
    assert "the client was late" in watch.report().flaws()[0]


def test_a_machine_that_was_suspended_once_invalidates_a_run() -> None:
    suspended = ClientReport(1000, 0.0, 0.1, 4.0, stood_still_s=60.0)
    assert suspended.flaws() == ["the client stood still for 60.0 s"]
    assert not ClientReport(1000, 0.0, 0.1, 4.0, stood_still_s=1.0).flaws()


def test_a_schedule_that_was_not_kept_invalidates_a_run() -> None:
    report = ClientWatch(ModelledClock()).report([0.0] * 90 + [LAG_P99_MOST_S * 2] * 10)
    assert report.lag_p99_s == LAG_P99_MOST_S * 2
    assert len(report.flaws()) == 1
    assert ClientReport(1, 0.0, 0.95, 1.0).flaws() == ["the client used 95% of a core, allowed 80%"]


# -- an open loop --------------------------------------------------------------------------


def test_arrivals_wait_for_nobody_and_are_all_told() -> None:
    most: list[int] = []

    def script(seen: Seen) -> Script:
        most.append(seen.running)
        return Script(first_s=0.5, tokens=1)

    told: list[Record] = []
    with serving(script) as endpoint:
        api, clock = Api(endpoint.url), ModelledClock()
        session = Session(HttpLine(api.client, clock), clock, Dialect("m"), JUDGE, "run")
        arrivals = (Arrival(n * 0.01, Ask("x", 5, 1, 1), nobody()[0]) for n in range(20))
        play(session, arrivals, random.Random(1), told.append)
        api.close()
    assert [record.outcome for record in told] == [Outcome.ANSWERED] * 20
    assert max(most) > 5  # a loop that waited would never have two
    assert len({record.id for record in told}) == 20
    assert all(record.ttft_s is not None and record.ttft_s >= 0.5 for record in told)


def test_a_fault_of_our_own_is_not_swallowed(mock: MockEndpoint) -> None:
    def broken(_: Record) -> None:
        raise RuntimeError("our own fault")

    api, clock = Api(mock.url), ModelledClock()
    session = Session(HttpLine(api.client, clock), clock, Dialect("m"), JUDGE, "run")
    arrivals = iter([Arrival(0.0, Ask("x", 5, 1, 1), nobody()[0])])
    with pytest.raises(RuntimeError, match="our own fault"):
        play(session, arrivals, random.Random(1), broken)
    crowd = Crowd(session, CODE, nobody()[0], random.Random(1), broken)
    crowd.resize(1)
    gevent.sleep(0.3)
    with pytest.raises(RuntimeError, match="our own fault"):
        crowd.check()
    api.close()


def test_a_killed_loop_takes_its_requests_along(mock: MockEndpoint) -> None:
    mock.script = lambda _: Script(first_s=30)
    api, clock = Api(mock.url), ModelledClock()
    session = Session(HttpLine(api.client, clock), clock, Dialect("m"), JUDGE, "run")
    arrivals = (Arrival(0.0, Ask("x", 5, 1, 1), nobody()[0]) for _ in range(3))
    told: list[Record] = []
    loop = gevent.spawn(play, session, arrivals, random.Random(1), told.append)
    for _ in range(100):
        if len(mock.seen) == 3:
            break
        gevent.sleep(0.02)
    loop.kill()
    for _ in range(100):
        if not mock.running:
            break
        gevent.sleep(0.02)
    api.close()
    assert (told, mock.running) == ([], 0)
