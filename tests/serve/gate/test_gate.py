"""The gate by itself: later turns of an answer, and what it writes down."""

import asyncio
import json
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from admission.price.footprint import PromptShape, RequestShape
from admission.speed.linear_steps import StepCoefficients
from admission.terms.decision import Priority, Reason
from admission.terms.settings import Mode, Policy
from serve.engine_step import EngineStep, Finished
from serve.gate.decision_log import DecisionLog
from serve.gate.gate import Gate
from serve.observability.json_lines import JsonLines
from serve.observability.metrics import Metrics
from serve.profile.admission_section import AdmissionSection, StaticSection
from serve.visit import ApiFamily, Tenant, Visit
from tests.fakes import settle
from tests.serve.fake_engine import FakeEngine

ASKED = RequestShape((PromptShape(40, 20),))


def a_gate(decisions: DecisionLog | None = None, **settings: Any) -> tuple[Gate, FakeEngine]:
    engine = FakeEngine()
    metrics = Metrics(CollectorRegistry())
    gate = Gate(engine, AdmissionSection(**settings), metrics=metrics, decisions=decisions)
    engine.gate = gate
    return gate, engine


def a_visit(gate: Gate, name: str = "r1") -> Visit:
    return Visit(
        request_id=name,
        tenant=Tenant("team", Priority.NORMAL),
        route="/v1/responses",
        family=ApiFamily.OPENAI,
        deadline_s=5.0,
        arrived_at_s=gate.now_s(),
    )


async def test_a_tool_turn_enlarges_the_lease_and_all_of_it_is_given_back() -> None:
    gate, _ = a_gate()
    visit = a_visit(gate)
    assert await gate.admit(visit, ASKED)
    visit.engine_ids.append("r1_0")
    gate.starting(visit, "r1_0", ASKED)
    assert visit.more_lease_ids == []
    gate.starting(visit, "r1_1", RequestShape((PromptShape(80, 20),)))
    assert len(visit.more_lease_ids) == 1
    assert gate.controller.ledger.sequences == 2
    visit.engine_ids.clear()  # the engine has nothing of it any more
    await gate.leave(visit)
    assert gate.controller.ledger.leases == {}
    assert gate.controller.ledger.curve.peak() == 0
    await gate.close()


async def test_the_decision_log_has_one_line_per_decision_and_one_per_end(tmp_path: Path) -> None:
    file = tmp_path / "decisions.jsonl"
    lines = JsonLines(str(file))
    gate, _ = a_gate(DecisionLog(lines))
    visit = a_visit(gate)
    await gate.admit(visit, ASKED)
    visit.engine_ids.append("e1")
    gate.starting(visit, "e1", ASKED)
    gate.stepped(EngineStep({}, finished=(Finished("e1", 20, "length", 0.0, 0.5, 0.1, 0),)))
    await gate.leave(visit)
    await gate.close()
    lines.close()
    decided, ended = (json.loads(line) for line in file.read_text().splitlines())
    assert (decided["v"], decided["id"], decided["outcome"]) == (1, "r1", "accepted")
    assert decided["config_hash"] == AdmissionSection().hash()
    assert decided["price_blocks"]["peak"] >= decided["price_blocks"]["now"]
    assert decided["replica"] == ended["replica"] != ""
    assert (ended["id"], ended["output_tokens"], ended["finish"]) == ("r1", 20, "length")
    assert ended["tpot_s"] == 0.1
    assert ended["ttft_s"] >= 0.5


async def test_mode_shadow_counts_what_it_would_have_refused_and_how_that_ended() -> None:
    gate, _ = a_gate(mode=Mode.SHADOW, policy=Policy.STATIC, static=StaticSection(limit=1))
    visits = [a_visit(gate, name) for name in ("r1", "r2", "r3")]
    for visit in visits:
        assert await gate.admit(visit, ASKED)
        visit.engine_ids.append(visit.request_id)
        gate.starting(visit, visit.request_id, ASKED)
    done = (Finished("r1", 20, "stop", 0, 0.5, 0.1, 0), Finished("r2", 20, "stop", 0, 9.0, 0.1, 0))
    gate.stepped(EngineStep({}, finished=done))
    for visit in visits:
        await gate.leave(visit)
    told = gate.shadow()
    assert (told["mode"], told["config_hash"]) == (Mode.SHADOW, gate.settings_hash())
    assert (told["requests"], told["unjudged"]) == (3, 1), "the third one's client left"
    assert told["would_refuse"] + told["would_queue"] == 2
    assert told["missed_refusals"] == 0, "who would be accepted was in time"
    assert json.loads(json.dumps(told))["classes"]["tenant/team/6/5"]["requests"] == 3
    gate.reconfigure(AdmissionSection())
    assert gate.shadow()["requests"] == 0, "other settings are judged anew"
    await gate.close()


async def test_mode_enforce_leaves_nothing_for_shadow_to_count() -> None:
    gate, _ = a_gate()
    visit = a_visit(gate)
    await gate.admit(visit, ASKED)
    await gate.leave(visit)
    assert gate.shadow()["requests"] == 0
    await gate.close()


async def test_explain_prices_without_holding_anything() -> None:
    gate, _ = a_gate()
    told = await gate.explain("/v1/chat/completions", {}, Tenant("team"))
    assert told["decision"] == {"outcome": "accepted"}
    assert told["price"]["prompt_tokens"] == 16
    assert {budget["limit"] for budget in told["budgets"]} == {"kv", "slots", "prefill"}
    assert gate.controller.ledger.leases == {}
    await gate.close()


async def test_the_state_is_json_and_sums_tenants() -> None:
    gate, _ = a_gate()
    visit = a_visit(gate)
    await gate.admit(visit, ASKED)
    state = json.loads(json.dumps(gate.state()))
    assert state["tenants"]["team"]["leases"] == 1
    assert state["kv"]["projected_peak_blocks"] > 0
    assert state["time_scale"] == 1
    await gate.leave(visit)
    assert gate.state()["leases"] == 0
    await gate.close()


async def test_a_body_of_a_billion_answers_is_refused_before_they_are_added_up() -> None:
    gate, _ = a_gate()
    visit = a_visit(gate)
    assert not await gate.admit(visit, RequestShape((PromptShape(40, 20),), sequences=10**9))
    assert visit.verdict is not None
    assert visit.verdict.reason is Reason.NEVER_FITS
    await gate.leave(visit)
    await gate.close()


# -- an engine that does not answer --------------------------------------------------------


async def test_a_request_without_a_token_is_overdue_after_its_deadline_and_the_grace() -> None:
    gate, engine = a_gate(ttft_grace_s=7.0)
    visit = a_visit(gate)
    await gate.admit(visit, ASKED)
    left_s = gate.overdue_in_s(visit)
    assert left_s is not None
    assert 11.0 < left_s <= 12.0, "5 s allowed and 7 s of grace"
    running = aiter(engine.generate(visit, 40, 2))
    first = asyncio.ensure_future(anext(running))
    await settle()
    assert gate.overdue_in_s(visit) is not None
    engine.step()
    assert await first == 1
    assert gate.overdue_in_s(visit) is None, "its answer has begun"
    await gate.leave(visit)
    await gate.close()


async def test_only_mode_enforce_cuts_requests_off() -> None:
    gate, _ = a_gate(mode=Mode.SHADOW)
    visit = a_visit(gate)
    await gate.admit(visit, ASKED)
    assert gate.overdue_in_s(visit) is None
    await gate.leave(visit)
    await gate.close()


async def test_a_request_that_is_cut_off_bears_its_verdict() -> None:
    gate, _ = a_gate()
    visit = a_visit(gate)
    await gate.admit(visit, ASKED)
    verdict = gate.cut_off(visit)
    assert verdict is visit.verdict
    assert verdict.reason is Reason.TTFT_SLO
    await gate.leave(visit)
    assert gate.controller.ledger.leases == {}
    await gate.close()


async def test_a_drain_is_undone_unless_the_gateway_ends() -> None:
    gate, _ = a_gate()
    told = gate.state()
    assert (told["draining"], told["draining_since"]) == (False, None)
    gate.drain()
    since = gate.state()["draining_since"]
    assert since is not None
    gate.drain()
    assert gate.state()["draining_since"] == since
    refused = gate.precheck(a_visit(gate), 0)
    assert refused is not None
    assert refused.reason is Reason.DRAINING
    assert gate.resume()
    assert gate.state()["draining_since"] is None
    assert gate.precheck(a_visit(gate), 0) is None
    visit = a_visit(gate)
    assert await gate.admit(visit, ASKED)
    await gate.leave(visit)
    gate.drain(final=True)
    gate.drain()
    assert not gate.resume()
    assert gate.draining
    await gate.close()


async def test_the_state_names_the_replica_as_the_decision_log_does(tmp_path: Path) -> None:
    file = tmp_path / "decisions.jsonl"
    lines = JsonLines(str(file))
    gate, _ = a_gate(DecisionLog(lines))
    visit = a_visit(gate)
    await gate.admit(visit, ASKED)
    await gate.leave(visit)
    named = gate.state()["replica"]
    await gate.close()
    lines.close()
    assert {json.loads(line)["replica"] for line in file.read_text().splitlines()} == {named}


async def test_a_step_that_the_ledger_did_not_follow_is_counted() -> None:
    registry = CollectorRegistry()
    gate = Gate(FakeEngine(), AdmissionSection(), metrics=Metrics(registry), decisions=None)
    gate.step_lost()
    assert registry.get_sample_value("sluice_step_record_failures_total") == 1
    await gate.close()


async def test_explain_decides_by_the_deadline_that_the_caller_asks_for() -> None:
    gate, _ = a_gate()
    gate.controller.know_step_times(StepCoefficients(0.0, 0.1, 0.0, 0.0))  # 1.6 s for 16 tokens
    visit = a_visit(gate)
    await gate.admit(visit, ASKED)  # an idle engine refuses nobody
    told = await gate.explain("/v1/chat/completions", {}, Tenant("team"), 500)
    assert told["decision"]["outcome"] == "rejected"
    assert told["decision"]["reason"] == "ttft_slo"
    told = await gate.explain("/v1/chat/completions", {}, Tenant("team"), 20_000)
    assert told["decision"]["outcome"] == "accepted"
    await gate.leave(visit)
    await gate.close()
