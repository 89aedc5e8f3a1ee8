"""Budgets as clients see them: x-ratelimit headers, and a refusal that says when to come back."""

import pytest
from prometheus_client import CollectorRegistry

from admission.queue.budgets import Allowance, Standing
from admission.terms.decision import Reason, Rejected
from serve.gate.gate import Gate
from serve.http.problems import answer
from serve.http.response.rate_limits import duration, rate_limit_headers
from serve.observability.metrics import Metrics
from serve.profile.admission_section import AdmissionSection
from serve.visit import ApiFamily, Tenant
from tests.fakes import house
from tests.serve.fake_engine import FakeEngine
from tests.serve.gate.test_gate import ASKED, a_visit


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0s"),
        (0.12, "120ms"),
        (0.9999, "1s"),
        (1.0, "1s"),
        (59.6, "1m0s"),
        (360.0, "6m0s"),
        (3725.0, "1h2m5s"),
    ],
)
def test_durations_are_written_as_openai_writes_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_budget_that_does_not_exist_has_no_headers() -> None:
    assert rate_limit_headers(None) == []
    assert rate_limit_headers(Standing(None, Allowance(9000, 8800, 1.0))) == [
        (b"x-ratelimit-limit-tokens", b"9000"),
        (b"x-ratelimit-remaining-tokens", b"8800"),
        (b"x-ratelimit-reset-tokens", b"1s"),
    ]


@pytest.mark.parametrize("refused", [False, True])
async def test_every_answer_of_a_tenant_with_budgets_says_what_is_left(refused: bool) -> None:
    at = house()
    at.gate.budgets = Standing(Allowance(60, 59, 1.0), None)
    if refused:
        at.gate.refusal = Rejected(Reason.TENANT_BUDGET, "used up", retry_after_s=1.0)
    headers = (await at.ask()).answer_headers
    assert headers["x-ratelimit-limit-requests"] == "60"
    assert headers["x-ratelimit-remaining-requests"] == "59"
    assert headers["x-ratelimit-reset-requests"] == "1s"
    assert "x-ratelimit-limit-tokens" not in headers


async def test_who_showed_no_key_is_told_of_no_budget() -> None:
    at = house()
    at.gate.budgets = Standing(Allowance(60, 59, 1.0), None)
    done = await at.ask("/health", method="GET")
    assert not [name for name in done.answer_headers if name.startswith("x-ratelimit")]


async def test_a_tenant_over_its_budget_is_refused_explained_and_told_when_to_come_back() -> None:
    section = AdmissionSection.model_validate({"tenants": {"team": {"requests_per_minute": 1}}})
    engine = FakeEngine()
    gate = Gate(engine, section, metrics=Metrics(CollectorRegistry()))
    engine.gate = gate
    first, second = a_visit(gate), a_visit(gate, "r2")
    assert await gate.admit(first, ASKED)
    refusal = gate.precheck(second, 10)
    assert refusal is not None
    assert not await gate.admit(second, ASKED)
    headers = dict(answer(refusal, ApiFamily.OPENAI, jitter=lambda low, high: low).headers)
    assert headers[b"x-sluice-reason"] == b"tenant_budget"
    assert headers[b"x-should-retry"] == b"true"
    assert int(headers[b"retry-after"]) in range(30, 41)  # the jitter's room below a minute
    told = await gate.explain("/v1/chat/completions", {}, Tenant("team"))
    assert told["decision"]["reason"] == "tenant_budget"
    assert told["tenant"]["requests"]["remaining"] == 0
    assert told["priority"] == {"class": "normal", "reserved_blocks": 0, "reserve_binds": False}
    assert gate.state()["tenants"]["team"]["account"]["kv_blocks"] > 0
    await gate.leave(first)
    await gate.close()
