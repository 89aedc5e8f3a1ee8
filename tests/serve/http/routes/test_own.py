"""Our own routes: health for balancers, versions, metrics, and what admission says of itself."""

import pytest
from prometheus_client import Counter

from tests.fakes import house

CHAT = {"model": "m", "messages": []}


@pytest.mark.parametrize(
    ("healthy", "draining", "status", "word"),
    [
        (True, False, 200, "ok"),
        (True, True, 503, "draining"),
        (False, False, 503, "engine_down"),
        (False, True, 503, "engine_down"),
    ],
)
async def test_health_says_in_one_word_whether_to_send_requests(
    healthy: bool, draining: bool, status: int, word: str
) -> None:
    at = house()
    at.gate.healthy, at.gate.draining = healthy, draining
    done = await at.ask("/health", method="GET")
    assert done.status == status
    assert done.answer_json == {"status": word}


async def test_version_has_vllm_s_under_its_own_name_and_ours() -> None:
    versions = (await house().ask("/version", method="GET")).answer_json
    assert set(versions) == {"version", "sluice"}


async def test_metrics_hold_ours_and_whatever_vllm_put_into_the_same_registry() -> None:
    at = house()
    Counter("vllm:num_preemptions", "vLLM's own", registry=at.registry)
    done = await at.ask("/metrics", method="GET")
    assert done.answer_headers["content-type"].startswith("text/plain")
    text = done.answer_body.decode()
    assert "vllm:num_preemptions_total 0.0" in text
    assert 'sluice_admission_decisions_total{outcome="rejected",reason="kv_capacity"} 0.0' in text


async def test_state_is_the_gate_s() -> None:
    done = await house().ask("/v1/admission/state", method="GET")
    assert done.answer_json == {"leases": 0}


async def test_shadow_is_the_gate_s() -> None:
    done = await house().ask("/v1/admission/shadow", method="GET")
    assert done.answer_json == {"requests": 0}


async def test_drain_takes_no_body_and_says_so_at_once() -> None:
    at = house()
    done = await at.ask("/v1/admission/drain", raw=b"")
    assert done.status == 202
    assert at.gate.draining
    assert (await at.ask("/health", method="GET")).status == 503


@pytest.mark.parametrize(
    ("body", "query", "route"),
    [
        ({"model": "m", "messages": []}, "", "/v1/chat/completions"),
        ({"model": "m", "prompt": "x"}, "", "/v1/completions"),
        ({"model": "m", "input": "x"}, "", "/v1/responses"),
        ({"model": "m", "messages": []}, "route=/v1/messages", "/v1/messages"),
        ({"model": "m", "messages": []}, "route=%2Fv1%2Fmessages", "/v1/messages"),
    ],
)
async def test_explain_takes_the_route_from_the_query_or_the_body(
    body: object, query: str, route: str
) -> None:
    done = await house().ask("/v1/admission/explain", body, query=query)
    assert done.answer_json == {"route": route, "tenant": "anonymous"}


@pytest.mark.parametrize(
    ("body", "query"), [({"model": "m"}, ""), (CHAT, "route=/v1/models"), (CHAT, "route=nowhere")]
)
async def test_explain_without_a_known_route_lists_them(body: object, query: str) -> None:
    done = await house().ask("/v1/admission/explain", body, query=query)
    assert done.status == 400
    assert done.answer_json["error"]["param"] == "route"
    assert "/v1/chat/completions" in done.answer_json["error"]["message"]


async def test_explain_heeds_the_first_token_that_the_caller_asks_for() -> None:
    done = await house().ask("/v1/admission/explain", CHAT, headers={"x-slo-ttft-ms": "500"})
    assert done.answer_json["requested_ms"] == 500
    done = await house().ask("/v1/admission/explain", CHAT, headers={"x-slo-ttft-ms": "soon"})
    assert done.status == 400
    assert done.answer_json["error"]["param"] == "x-slo-ttft-ms"


async def test_explain_of_a_body_that_vllm_refuses_is_400_with_its_words() -> None:
    done = await house().ask("/v1/admission/explain", {"messages": []})
    assert done.status == 400
    assert done.answer_json["error"]["message"] == "model is missing"
