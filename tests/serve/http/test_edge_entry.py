"""Who and what may come in: routes, keys, limits, and the fields a caller may not set."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from admission.terms.decision import Priority, Reason, Rejected
from serve.access.tenants import KeyEntry, Keys
from serve.http.allow import ROUTES, Access, Route, RouteKind
from serve.http.request.intake import depth_of, prompt_chars
from serve.profile.access_section import AccessSection
from serve.profile.sections import HttpSection
from serve.profile.settings import AdmissionSection
from tests.fakes import Exchange, house, settle

ENTRIES = [
    KeyEntry(tenant=name, priority=Priority.LOW, admin=admin, key_sha256=digest)
    for name, admin in (("user", False), ("boss", True))
    for digest in (hashlib.sha256(name.encode()).hexdigest(),)
]
KEYS = Keys(ENTRIES)
CHAT = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
GENERATION = [route.path for route in ROUTES if route.kind is RouteKind.GENERATION]


def asked(route: Route) -> dict[str, Any]:
    """A request that `route` has nothing against, for `House.ask`."""
    bodies: dict[str, object] = {
        "/v1/admission/settings": AdmissionSection().mapping(),
        "/v1/admission/settings/rollback": {"to": AdmissionSection().hash()},
    }
    document = bodies.get(route.path, {"model": "m", "prompt": "x"})
    return {"document": document, "method": route.method, "headers": {"if-match": "*"}}


@pytest.mark.parametrize("route", ROUTES, ids=lambda r: f"{r.method} {r.path}")
async def test_every_route_on_the_list_answers(route: Route) -> None:
    at = house()
    path = route.path.replace("{id}", "m")
    assert (await at.ask(path, **asked(route))).status in {200, 202}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/docs"),
        ("GET", "/openapi.json"),
        ("GET", "/v1/chat/completions"),
        ("GET", "/v1/chat/completions/"),
        ("POST", "/v1/chat/completions/batch"),
        ("POST", "/v1/chat/completions/batch/"),
        ("POST", "/v1//embeddings"),
        ("POST", "//"),
        ("POST", "/v1/completions/."),
        ("POST", "/v1/completions/../embeddings"),
        ("POST", "/V1/completions"),
        ("POST", "/invocations"),
        ("POST", "/v1/embeddings"),
        ("GET", "/v1/responses/resp_1"),
        ("POST", "/health"),
        ("DELETE", "/v1/models"),
        ("DELETE", "/v1/models/m"),
        ("POST", "/v1/models/m"),
        ("GET", "/v1/modelsm"),
        ("OPTIONS", "/nowhere"),
    ],
)
async def test_everything_else_is_404_and_never_reaches_vllm(method: str, path: str) -> None:
    at = house()
    done = await at.ask(path, method=method)
    assert done.status == 404
    assert done.answer_json["error"]["code"] == "not_found"
    assert at.app.scopes == []


@pytest.mark.parametrize("path", ["/v1/messages/batches", "/v1/messages/count_tokens/x"])
async def test_under_messages_a_404_has_anthropics_shape(path: str) -> None:
    done = await house().ask(path)
    assert done.status == 404
    assert done.answer_json["error"]["type"] == "not_found_error"


@pytest.mark.parametrize(
    "path", ["/health", "/health/", "/version", "/metrics", "/v1/models", "/v1/models/m"]
)
async def test_head_is_a_get(path: str) -> None:
    at = house()
    done = await at.ask(path, method="HEAD")
    assert done.status == 200
    assert int(done.answer_headers["content-length"]) > 0


@pytest.mark.parametrize(
    ("method", "path", "as_if"),
    [
        ("POST", "/v1/chat/completions/", "/v1/chat/completions"),
        ("POST", "/v1//chat/completions", "/v1/chat/completions"),
        ("POST", "//v1/completions//", "/v1/completions"),
        ("POST", "/v1/messages/", "/v1/messages"),
        ("POST", "/v1/messages/count_tokens/", "/v1/messages/count_tokens"),
        ("POST", "/tokenize/", "/tokenize"),
    ],
)
async def test_slashes_that_clients_add_do_not_count(method: str, path: str, as_if: str) -> None:
    at = house(keys=KEYS)
    done = await at.ask(path, method=method, headers={"x-api-key": "user"})
    assert done.status == 200
    assert at.app.scopes[0]["path"] == as_if
    assert at.log[0]["route"] == as_if
    assert (await at.ask(path, method=method)).status == 401


async def test_options_says_what_is_allowed() -> None:
    at = house(keys=KEYS)
    for path in ("/v1/models", "/v1/models/", "/v1/models/org/name"):
        done = await at.ask(path, method="OPTIONS")
        assert done.answer_headers["allow"] == "GET, HEAD, OPTIONS"
    assert at.app.scopes == []


async def test_a_websocket_is_refused() -> None:
    sent = []

    async def send(message: object) -> None:
        sent.append(message)

    await house().edge({"type": "websocket", "path": "/v1/realtime"}, lambda: None, send)
    assert sent == [{"type": "websocket.close", "code": 1008}]


async def test_lifespan_goes_to_the_app() -> None:
    sent = []

    async def send(message: object) -> None:
        sent.append(message)

    await house().edge({"type": "lifespan"}, lambda: None, send)
    assert sent == [{"type": "lifespan.startup.complete"}]


@pytest.mark.parametrize("route", ROUTES, ids=lambda r: f"{r.method} {r.path}")
async def test_with_keys_only_health_is_open(route: Route) -> None:
    at = house(keys=KEYS)
    done = await at.ask(route.path, method=route.method)
    if route.access is Access.OPEN:
        assert route.path == "/health"
        assert done.status == 200
    else:
        assert done.status == 401
        assert at.app.scopes == []


@pytest.mark.parametrize("route", [r for r in ROUTES if r.access is Access.ADMIN])
async def test_state_and_drain_need_an_admin(route: Route, tmp_path: Path) -> None:
    file = tmp_path / "keys.yaml"
    file.write_text(json.dumps([entry.model_dump(mode="json") for entry in ENTRIES]))
    at = house(keys=Keys(ENTRIES), access=AccessSection(api_keys_file=file))
    request = asked(route)
    request["headers"]["x-api-key"] = "user"
    user = await at.ask(route.path, **request)
    assert user.status == 403
    assert not at.gate.draining
    request["headers"]["x-api-key"] = "boss"
    boss = await at.ask(route.path, **request)
    assert boss.status in {200, 202}


async def test_a_bad_key_has_the_error_shape_of_its_api() -> None:
    at = house(keys=KEYS)
    openai = await at.ask(headers={"authorization": "Bearer wrong"})
    assert openai.answer_json["error"]["code"] == "invalid_api_key"
    anthropic = await at.ask("/v1/messages", headers={"x-api-key": "wrong"})
    assert anthropic.answer_json["error"]["type"] == "authentication_error"
    assert at.gate.prechecked == []


async def test_the_key_decides_tenant_and_priority() -> None:
    at = house(keys=KEYS)
    await at.ask(headers={"authorization": "Bearer user"})
    tenant = at.gate.left[0].tenant
    assert (tenant.name, tenant.priority, tenant.admin) == ("user", Priority.LOW, False)


@pytest.mark.parametrize("path", [*GENERATION, "/tokenize", "/v1/admission/explain"])
@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"nonsense",
        b"\xff\xfe\x00",
        b'{"model": "m"',
        b"[1, 2]",
        b'"text"',
        b"null",
        b'{"temperature": NaN}',
        b'{"temperature": -Infinity}',
        b'{"n": ' + b"9" * 5000 + b"}",
        b"[" * 100_000,
        b'{"a": ' * 65 + b"1" + b"}" * 65,
    ],
    ids=range(13),
)
async def test_a_malformed_body_is_400_in_the_family_s_shape(path: str, raw: bytes) -> None:
    at = house()
    done = await at.ask(path, raw=raw)
    assert done.status == 400
    kind = done.answer_json["error"]["type"]
    assert kind == "invalid_request_error"
    assert ("code" in done.answer_json["error"]) is (path != "/v1/messages")
    assert at.app.scopes == []
    assert at.gate.prechecked == []


def test_depth_counts_levels_of_objects_and_lists() -> None:
    assert depth_of(1) == 0
    assert depth_of({}) == 1
    assert depth_of({"a": [1, {"b": 2}], "c": "x"}) == 3
    nested: object = []
    for _ in range(100_000):
        nested = [nested]
    assert depth_of(nested) == 100_001


async def test_the_deepest_allowed_body_passes() -> None:
    at = house(limits=HttpSection(max_json_depth=4))
    assert (await at.ask("/tokenize", {"a": {"b": {"c": {}}}})).status == 200
    assert (await at.ask("/tokenize", {"a": {"b": {"c": {"d": {}}}}})).status == 400


@pytest.mark.parametrize("declared", [True, False], ids=["content-length", "chunked"])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/detokenize"])
async def test_a_body_over_the_limit_is_413_once_it_has_been_thrown_away(
    path: str, declared: bool
) -> None:
    at = house(limits=HttpSection(max_body_bytes=1024))
    headers = {"content-length": "5000"} if declared else {"transfer-encoding": "chunked"}
    call = Exchange(path=path, headers=headers).begin(at.edge)
    for _ in range(4):
        call.give(b"x" * 1000, more=True)
        await settle()
        assert call.sent == []  # a client that does not read yet would never see it
    call.give(b"x" * 1000)
    await call.end()
    assert call.status == 413
    assert call.answer_json["error"]["type"] in {"invalid_request_error", "request_too_large"}
    assert at.app.scopes == []


@pytest.mark.parametrize("declared", [True, False], ids=["content-length", "chunked"])
async def test_a_body_without_end_is_not_read_to_its_end(declared: bool) -> None:
    at = house(limits=HttpSection(max_body_bytes=1024))
    headers = {"content-length": str(10**12)} if declared else {"transfer-encoding": "chunked"}
    call = Exchange(headers=headers)
    for _ in range(40):
        call.give(bytes(1_048_576), more=True)
    await call.begin(at.edge).end()
    assert call.status == 413
    assert call.incoming.qsize() == (40 if declared else 7)


async def test_a_chunked_body_without_a_length_is_put_together() -> None:
    at = house()
    call = Exchange(path="/tokenize", headers={"transfer-encoding": "chunked"})
    text = json.dumps(CHAT).encode()
    for piece in (text[:10], b"", text[10:]):
        call.give(piece, more=True)
    call.give(b"")
    for _ in range(3):
        at.app.tokens.release()
    await call.begin(at.edge).end()
    assert call.status == 200
    assert at.app.bodies == [text]
    headers = dict(at.app.scopes[0]["headers"])
    assert headers[b"content-length"] == str(len(text)).encode()
    assert b"transfer-encoding" not in headers


async def test_headers_over_the_limit_are_431() -> None:
    at = house(limits=HttpSection(max_header_bytes=1024))
    done = await at.ask("/v1/messages", headers={"x-long": "y" * 1024})
    assert done.status == 431
    assert done.answer_json["error"]["type"] == "request_too_large"


@pytest.mark.parametrize("path", GENERATION)
async def test_fields_that_reach_behind_the_ledger_are_dropped(path: str) -> None:
    at = house()
    forbidden = {
        "priority": -5,
        "data_parallel_rank": 3,
        "kv_transfer_params": {"do_remote_prefill": True},
        "ec_transfer_params": {"a": 1},
        "request_id": "taken",
    }
    body = CHAT | forbidden | {"vllm_xargs": {"kv_transfer_params": "x", "keep": 1}}
    headers = {"X-Vllm-Priority": "-5", "X-data-parallel-rank": "1", "x-kept": "yes"}
    assert (await at.ask(path, body, headers=headers)).status == 200
    assert json.loads(at.app.bodies[0]) == CHAT | {"vllm_xargs": {"keep": 1}}
    seen = dict(at.app.scopes[0]["headers"])
    assert not {b"x-vllm-priority", b"x-data-parallel-rank"} & seen.keys()
    assert seen[b"x-kept"] == b"yes"
    assert seen[b"content-length"] == str(len(at.app.bodies[0])).encode()


async def test_an_innocent_body_goes_through_byte_by_byte() -> None:
    at = house()
    raw = b'{ "messages": [{"role":"user","content":"pri\\u006frity \xc3\xa9"}],\n"model":"m" }'
    await at.ask(raw=raw)
    assert at.app.bodies == [raw]


@pytest.mark.parametrize("field", ["background", "use_beam_search"])
async def test_what_cannot_be_priced_is_refused_with_its_reason(field: str) -> None:
    at = house()
    done = await at.ask("/v1/responses", {"input": "x", field: True})
    assert done.status == 400
    assert done.answer_json["error"]["code"] == "unsupported"
    assert done.answer_json["error"]["param"] == field
    assert done.answer_headers["x-sluice-reason"] == "unsupported"
    assert at.app.scopes == []
    labels = {"outcome": "rejected", "reason": "unsupported"}
    assert at.registry.get_sample_value("sluice_admission_decisions_total", labels) == 1
    assert (await at.ask("/v1/responses", {"input": "x", field: False})).status == 200


async def test_an_isolated_cache_is_salted_by_tenant_and_by_the_caller_s_own_salt() -> None:
    at = house(keys=KEYS, access=AccessSection(isolate_prefix_cache=True))
    salts = []
    for key, own in [
        ("user", None),
        ("user", None),
        ("boss", None),
        ("user", "s"),
        ("boss", "s"),
    ]:
        body = CHAT if own is None else CHAT | {"cache_salt": own}
        await at.ask("/v1/chat/completions", body, headers={"x-api-key": key})
        salts.append(json.loads(at.app.bodies[-1])["cache_salt"])
    assert salts[0] == salts[1]
    assert len(set(salts)) == 4
    assert all(len(salt) == 64 and salt.isalnum() for salt in salts)  # vLLM: at most 128


async def test_without_isolation_the_caller_s_salt_stays() -> None:
    at = house()
    await at.ask("/v1/chat/completions", CHAT | {"cache_salt": "mine"})
    assert json.loads(at.app.bodies[0])["cache_salt"] == "mine"


@pytest.mark.parametrize(("sent", "deadline_s"), [("1500", 1.5), ("0.5", 0.0005), ("9e9", 120.0)])
async def test_the_caller_s_deadline_is_taken_and_capped(sent: str, deadline_s: float) -> None:
    at = house()
    await at.ask(headers={"x-slo-ttft-ms": sent, "x-sluice-run": "r1"})
    assert at.gate.left[0].deadline_s == deadline_s
    assert at.gate.left[0].run == "r1"


@pytest.mark.parametrize("sent", ["", "soon", "0", "-1", "nan", "inf"])
async def test_a_bad_deadline_is_400(sent: str) -> None:
    done = await house().ask(headers={"x-slo-ttft-ms": sent})
    assert done.status == 400
    assert done.answer_json["error"]["param"] == "x-slo-ttft-ms"


@pytest.mark.parametrize(
    ("body", "chars"),
    [
        ({"prompt": "abc"}, 3),
        ({"prompt": ["abc", "abcde"]}, 5),
        ({"prompt": [1, 2, 3]}, 0),
        ({"prompt": [[1, 2], [3]]}, 0),
        ({"prompt": "abc", "truncate_prompt_tokens": 10}, 0),
        ({"input": "abc", "instructions": "de"}, 5),
        ({"input": "abc", "truncation": "auto"}, 0),
        ({"input": [{"content": [{"type": "input_text", "text": "abc"}]}]}, 3),
        ({"messages": [{"role": "user", "content": "abc"}], "system": "de"}, 5),
        ({"messages": [{"content": [{"type": "image_url", "image_url": {"url": "x" * 99}}]}]}, 0),
        ({"tools": [{"description": "long"}]}, 0),
        ({}, 0),
    ],
)
def test_characters_of_a_prompt_are_counted_from_below(body: dict, chars: int) -> None:
    assert prompt_chars(body) == chars


async def test_precheck_hears_how_long_the_prompt_is_at_least() -> None:
    at = house()
    await at.ask()
    assert at.gate.prechecked[0][1] == len("hello")


LATE = Rejected(Reason.TTFT_SLO, "Too late.", retry_after_s=3.0)


async def test_what_is_late_whatever_it_asks_is_refused_before_its_body_is_parsed() -> None:
    at = house()
    at.gate.lateness = LATE
    done = await at.ask(raw=b"nonsense")
    assert done.status == 429
    assert done.answer_headers["x-sluice-reason"] == "ttft_slo"
    assert 3 <= int(done.answer_headers["retry-after"]) <= 5
    assert (at.app.scopes, at.gate.prechecked, at.gate.left) == ([], [], [])
    assert (at.log[0]["status"], at.log[0]["reason"]) == (429, Reason.TTFT_SLO)
    other = await at.ask("/tokenize")
    assert other.status == 200, "what needs no lease is not late"


@pytest.mark.parametrize("headers", [{"x-slo-ttft-ms": "soon"}, {"authorization": "Bearer x"}])
async def test_a_caller_who_may_not_enter_hears_that_first(headers: dict[str, str]) -> None:
    at = house(keys=KEYS if "authorization" in headers else None)
    at.gate.lateness = LATE
    assert (await at.ask(headers=headers)).status in {400, 401}


async def test_what_gets_no_place_to_render_in_never_reaches_the_app() -> None:
    at = house()
    at.gate.crowded = LATE
    done = await at.ask()
    assert done.status == 429
    assert at.app.scopes == []
    assert len(at.gate.left) == 1


async def test_only_generation_routes_are_offered_to_the_gate() -> None:
    at = house()
    for path in ("/tokenize", "/detokenize"):
        await at.ask(path)
    assert at.gate.prechecked == []
    assert at.app.visits == [None, None]
    await settle()
    assert at.gate.left == []


@pytest.mark.parametrize(
    "text",
    [
        rb'{"model": "m", "stop": ["a\ud83d"]}',
        rb'{"model": "m", "\udc00": 1}',
        rb'{"model": "m", "tools": [{"name": "\ude00\ud83d"}]}',
        b'{"model": "m", "user": "\xed\xa0\xbd"}',
        '{"model": "m", "user": "\\ud83d"}'.encode("utf-16"),
        b'{"model": "m", "temperature": 1e400}',
        b'{"model": "m", "logit_bias": {"1": -1e999}}',
        b'{"model": "m", "structured_outputs": {"json": {"const": 18446744073709551616}}}',
        b'{"model": "m", "seed": -9223372036854775809}',
    ],
)
async def test_half_a_character_and_numbers_that_do_not_fit_are_a_400(text: bytes) -> None:
    at = house()
    done = await at.ask("/v1/completions", raw=text)
    assert done.status == 400
    assert at.app.scopes == []


@pytest.mark.parametrize("number", [2**64 - 1, -(2**63), 0.1])
async def test_numbers_that_fit_pass(number: float) -> None:
    assert (await house().ask("/v1/completions", {"model": "m", "x": number})).status == 200


async def test_a_whole_surrogate_pair_is_one_character() -> None:
    at = house()
    done = await at.ask("/v1/completions", raw=rb'{"prompt": "\ud83d\ude00"}')
    assert done.status == 200


@pytest.mark.parametrize("path", GENERATION)
async def test_a_field_that_is_null_counts_as_left_out(path: str) -> None:
    at = house()
    body = {"model": "m", "truncation": None, "stream": None, "stop": {"a": None}}
    assert (await at.ask(path, body)).status == 200
    seen = json.loads(at.app.bodies[0])
    assert seen == {"model": "m", "stop": {"a": None}}, "inside a field null may mean something"


async def test_null_tokens_of_a_completion_mean_as_many_as_fit_as_vllm_has_it() -> None:
    at = house()
    await at.ask("/v1/completions", {"model": "m", "max_tokens": None})
    assert json.loads(at.app.bodies[0])["max_tokens"] is None
