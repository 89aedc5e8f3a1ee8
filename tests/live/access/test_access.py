"""A gateway with API keys, tenants kept apart, and a reasoning parser; then it is drained.

And used again: its keys are read anew, and the drain is undone. In the end Ray's raylet is killed.

One engine for all three, because each profile costs a start.
"""

import hashlib
import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anthropic
import openai
import psutil
import pytest
import yaml

from tests.live.ask import GONE_S, nothing_held, state_of
from tests.live.clients import GOOD, MODEL, Answer, Stream, anthropic_of, openai_of, send
from tests.live.conftest import OneAtATime
from tests.live.gateway import Gateway, wait_until

CHAT, COMPLETIONS, RESPONSES, MESSAGES = GOOD
ADMIN, ALICE, BOB = "sk-admin", "sk-alice", "sk-bob"
LONG = "The quick brown fox jumps over the lazy dog. " * 30  # more than two KV blocks


def entry(tenant: str, key: str, *, priority: str = "normal", admin: bool = False) -> Any:
    """A line of the keys file."""
    digest = hashlib.sha256(key.encode()).hexdigest()
    return {"tenant": tenant, "priority": priority, "admin": admin, "key_sha256": digest}


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """What this module changes in the default profile."""
    keys = tmp_path_factory.mktemp("access") / "keys.yaml"
    entries = [entry("ops", ADMIN, admin=True), entry("alice", ALICE, priority="high")]
    keys.write_text(yaml.safe_dump([*entries, entry("bob", BOB)]))
    return {
        "access": {"api_keys_file": str(keys), "isolate_prefix_cache": True},
        "engine_args": {
            "reasoning_parser": "olmo3",  # reads <think> as text, so any tokenizer will do
            "structured_outputs_config": {"enable_in_reasoning": True},
            "enforce_eager": True,
        },
    }


@pytest.fixture
def closed(gateway_of: OneAtATime, profile: Mapping[str, Any]) -> Gateway:
    """The gateway of this module."""
    return gateway_of(**profile)


def with_key(key: str) -> dict[str, str]:
    """As OpenAI's clients send it."""
    return {"Authorization": f"Bearer {key}"}


# -- who may do what -----------------------------------------------------------------------


@pytest.mark.parametrize("headers", [{}, with_key("sk-wrong"), {"x-api-key": "sk-wrong"}], ids=str)
@pytest.mark.parametrize("route", list(GOOD))
def test_without_a_known_key_nothing_is_generated(
    closed: Gateway, route: str, headers: dict[str, str]
) -> None:
    answer = send(closed, "POST", route, GOOD[route], headers)
    assert answer.status == 401
    error = answer.document["error"]
    if route == MESSAGES:
        assert error["type"] == "authentication_error"
    else:
        assert (error["type"], error["code"]) == ("invalid_request_error", "invalid_api_key")


def test_both_sdks_raise_their_own_exception_for_a_bad_key(closed: Gateway) -> None:
    unknown = pytest.raises(openai.AuthenticationError)
    with openai_of(closed, key="sk-wrong") as client, unknown as failure:
        client.models.list()
    assert failure.value.code == "invalid_api_key"
    unknown_too = pytest.raises(anthropic.AuthenticationError)
    with anthropic_of(closed, key="sk-wrong") as other, unknown_too:
        other.messages.create(**GOOD[MESSAGES])


def test_both_sdks_are_served_with_a_good_key(closed: Gateway) -> None:
    with openai_of(closed, key=ALICE) as client, anthropic_of(closed, key=BOB) as other:
        assert client.chat.completions.create(**GOOD[CHAT]).usage
        assert other.messages.create(**GOOD[MESSAGES]).usage


@pytest.mark.parametrize(
    ("method", "path", "without", "alice"),
    [
        ("GET", "/health", 200, 200),
        ("GET", "/v1/models", 401, 200),
        ("GET", "/version", 401, 200),
        ("GET", "/metrics", 401, 200),
        ("POST", "/tokenize", 401, 200),
        ("POST", "/v1/admission/explain", 401, 200),
        ("GET", "/v1/admission/state", 401, 403),
        ("POST", "/v1/admission/drain", 401, 403),
        ("POST", "/v1/admission/resume", 401, 403),
        ("PUT", "/v1/admission/settings", 401, 403),
        ("POST", "/v1/admission/keys/reload", 401, 403),
    ],
)
def test_each_route_asks_for_the_key_it_needs(
    closed: Gateway, method: str, path: str, without: int, alice: int
) -> None:
    body = {"model": MODEL, "prompt": "x"} if method != "GET" else None
    assert send(closed, method, path, body).status == without
    assert send(closed, method, path, body, with_key(ALICE)).status == alice


def test_leases_are_counted_by_tenant(closed: Gateway) -> None:
    with openai_of(closed, key=ALICE) as client:
        stream = client.completions.create(
            model=MODEL, prompt="x", max_tokens=200, stream=True, extra_body={"ignore_eos": True}
        )
        next(iter(stream))
        tenants = state_of(closed, key=ADMIN)["tenants"]
        stream.close()
    assert tenants.keys() == {"alice"}
    wait_until(lambda: nothing_held(closed, key=ADMIN), within_s=GONE_S)


def test_a_tenant_finds_its_own_prefixes_in_the_cache_and_nobody_else_s(closed: Gateway) -> None:
    def cached_tokens(key: str, **fields: Any) -> int:
        body = {"model": MODEL, "prompt": LONG, "max_tokens": 1, **fields}
        usage = send(closed, "POST", COMPLETIONS, body, with_key(key)).document["usage"]
        return int(usage["prompt_tokens_details"]["cached_tokens"])

    assert cached_tokens(ALICE) == 0
    assert cached_tokens(ALICE) >= 128
    assert cached_tokens(BOB) == 0
    assert cached_tokens(BOB, cache_salt="alice") == 0


# -- reasoning -----------------------------------------------------------------------------

THINKS = {
    **GOOD[CHAT],
    "max_tokens": 24,
    "structured_outputs": {"choice": ["<think>why</think>so"]},
}


def test_reasoning_comes_under_both_names(closed: Gateway) -> None:
    answer = send(closed, "POST", CHAT, THINKS, with_key(ALICE))
    message = answer.document["choices"][0]["message"]
    assert message["reasoning"] == message["reasoning_content"] == "why"
    assert message["content"] == "so"


def test_reasoning_is_streamed_under_both_names(closed: Gateway) -> None:
    answer = send(closed, "POST", CHAT, THINKS | {"stream": True}, with_key(ALICE))
    deltas = [event["choices"][0]["delta"] for event in events_of(answer)]
    for name in ("reasoning", "reasoning_content"):
        assert "".join(delta.get(name) or "" for delta in deltas) == "why", name
    assert "".join(delta.get("content") or "" for delta in deltas) == "so"


def events_of(answer: Answer) -> list[Any]:
    """The chunks of a stream, without its end mark."""
    lines = [line[6:] for line in answer.body.splitlines() if line.startswith(b"data: ")]
    assert lines.pop() == b"[DONE]"
    return [json.loads(line) for line in lines]


# -- the end -------------------------------------------------------------------------------


def test_a_drained_gateway_refuses_at_once_and_finishes_what_runs(closed: Gateway) -> None:
    body = {"model": MODEL, "prompt": "x", "max_tokens": 150, "ignore_eos": True}
    answers: list[Answer] = []
    running = threading.Thread(
        target=lambda: answers.append(send(closed, "POST", COMPLETIONS, body, with_key(BOB)))
    )
    running.start()
    wait_until(lambda: state_of(closed, key=ADMIN)["leases"] == 1, within_s=30.0)

    drained = send(closed, "POST", "/v1/admission/drain", headers=with_key(ADMIN))
    assert drained.status == 202
    for route in GOOD:
        answer = send(closed, "POST", route, GOOD[route], with_key(ALICE))
        assert answer.status == 503
        assert answer.headers["x-sluice-reason"] == "draining"
        assert answer.headers["x-should-retry"] == "true"
        assert 1 <= int(answer.headers["retry-after"]) <= 60
        assert int(answer.headers["retry-after-ms"]) > 0
        error = answer.document["error"]
        if route == MESSAGES:
            assert error["type"] == "overloaded_error"
        else:
            assert (error["type"], error["code"]) == ("service_unavailable_error", "draining")
    assert answers == [], "the answer that runs must outlast the refusals for this test to say much"
    health = send(closed, "GET", "/health")
    assert (health.status, health.document) == (503, {"status": "draining"})

    running.join(60.0)
    (answer,) = answers
    assert answer.status == 200
    assert answer.document["usage"]["completion_tokens"] == 150
    wait_until(lambda: nothing_held(closed, key=ADMIN), within_s=GONE_S)
    assert state_of(closed, key=ADMIN)["draining_since"] is not None


def test_a_drain_is_undone(closed: Gateway) -> None:
    send(closed, "POST", "/v1/admission/drain", headers=with_key(ADMIN))
    assert closed.draining()
    resumed = send(closed, "POST", "/v1/admission/resume", headers=with_key(ADMIN))
    assert (resumed.status, resumed.document["status"]) == (200, "ok")
    state = state_of(closed, key=ADMIN)
    assert (state["draining"], state["draining_since"]) == (False, None)
    assert state["replica"] == resumed.document["replica"]
    assert send(closed, "GET", "/health").status == 200
    assert send(closed, "POST", CHAT, GOOD[CHAT], with_key(ALICE)).status == 200


def test_keys_are_read_again_whole_or_not_at_all(
    closed: Gateway, profile: Mapping[str, Any]
) -> None:
    def statuses() -> list[int]:
        keys = (ADMIN, ALICE, "sk-carol")
        return [send(closed, "GET", "/version", headers=with_key(key)).status for key in keys]

    def reload() -> Answer:
        return send(closed, "POST", "/v1/admission/keys/reload", headers=with_key(ADMIN))

    file = Path(profile["access"]["api_keys_file"])
    file.write_text(yaml.safe_dump([entry("ops", ADMIN, admin=True), entry("carol", "sk-carol")]))
    assert (reload().status, statuses()) == (200, [200, 401, 200])
    file.write_text("[]")
    assert (reload().status, statuses()) == (409, [200, 401, 200])
    told = state_of(closed, key=ADMIN)["keys"]
    assert told["count"] == 2
    assert "no key found" in told["refused"]


def test_without_its_raylet_it_finishes_what_runs_and_ends_with_exit_code_1(
    closed: Gateway, profile: Mapping[str, Any]
) -> None:
    held = Stream(closed, max_tokens=60, key=ADMIN)
    wait_until(lambda: held.chunks > 2, within_s=30.0)
    (raylet,) = closed.find("raylet/raylet")
    psutil.Process(raylet).kill()
    told = "Ray's raylet has ended"
    wait_until(lambda: closed.told(told) == 1, within_s=5.0, what=closed.written)
    assert closed.process.wait(60.0) == 1
    assert held.finished(), closed.written()
    wait_until(lambda: not closed.living(), within_s=5.0)
    assert closed.told(told) == 1
