"""What goes back: headers on every answer, errors in the family's shape, streams untouched."""

import json

import pytest
from starlette.types import Send

from admission.terms.decision import Reason, Rejected
from tests.fakes import body, house, json_answer, settle, start

EVERY_ANSWER = {"x-request-id", "x-sluice-config", "x-sluice-queued-ms", "server-timing"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/chat/completions"),
        ("GET", "/v1/models"),
        ("GET", "/health"),
        ("GET", "/metrics"),
        ("GET", "/nowhere"),
    ],
)
async def test_every_answer_carries_our_headers(method: str, path: str) -> None:
    done = await house().ask(path, method=method, headers={"x-request-id": "mine"})
    assert set(done.answer_headers) >= EVERY_ANSWER
    assert done.answer_headers["x-request-id"] == "mine"
    assert done.answer_headers["x-sluice-config"] == "0123456789ab"
    assert done.answer_headers["x-sluice-queued-ms"] == "0"


async def test_an_id_is_made_where_the_caller_sends_none() -> None:
    at = house()
    ids = {(await at.ask()).answer_headers["x-request-id"] for _ in range(2)}
    assert len(ids) == 2
    assert all(len(given) == 32 for given in ids)


async def test_an_id_is_shortened_and_cannot_speak_to_a_terminal() -> None:
    at = house()
    done = await at.ask(headers={"x-request-id": "a\x1b[31mb" + "c" * 500})
    assert done.answer_headers["x-request-id"] == "a[31mb" + "c" * 121
    name = dict(at.app.scopes[0]["headers"])[b"x-request-id"].decode()
    assert name.startswith("a_31mbccc")


async def test_behind_ray_serve_the_id_is_left_to_its_own_layer() -> None:
    at = house(echo_request_id=False)
    at.app.script = with_request_id
    assert "x-request-id" not in (await at.ask()).answer_headers


async def with_request_id(send: Send) -> None:
    await send(start(200, (b"X-Request-Id", b"vllm's own")))
    await send(body(b"{}"))


async def test_vllm_s_own_request_id_header_never_doubles_ours() -> None:
    at = house()
    at.app.script = with_request_id
    done = await at.ask(headers={"x-request-id": "mine"})
    assert done.answer_headers["x-request-id"] == "mine"


async def test_time_in_line_and_prefill_are_told_with_the_first_byte() -> None:
    at = house()
    call = at.open()
    await settle()
    visit = next(iter(at.gate.held))
    visit.queued_s = 1.25
    at.gate.known_prefill_s = 0.5
    for _ in range(3):
        at.app.tokens.release()
    await call.end()
    assert call.answer_headers["x-sluice-queued-ms"] == "1250"
    assert call.answer_headers["server-timing"] == "queue;dur=1250.0, prefill;dur=500.0"


async def test_the_first_byte_is_noted_when_it_goes_out_not_when_the_answer_is_opened() -> None:
    at = house()
    call = at.open()
    await settle()
    visit = next(iter(at.gate.held))
    at.gate.clock_s = 103.0
    assert call.sent == []
    at.app.tokens.release()
    await settle()
    assert visit.first_byte_at_s == 103.0
    assert visit.status == 200
    at.gate.clock_s = 109.0
    at.app.tokens.release()
    at.app.tokens.release()
    await call.end()
    assert visit.first_byte_at_s == 103.0


async def test_a_stream_goes_through_message_by_message_and_as_it_is() -> None:
    at = house()
    chunks = [body(b"data: 1\n\n", more=True), body(b": ping\n\n", more=True), body(b"")]

    async def stream(send: Send) -> None:
        await send(start(200, (b"content-type", b"text/event-stream")))
        await send(body(b"", more=True))
        for chunk in chunks:
            await send(chunk)

    at.app.script = stream
    done = await at.ask()
    assert all(sent is chunk for sent, chunk in zip(done.sent[1:], chunks, strict=True))
    assert done.answer_headers["content-type"] == "text/event-stream"


@pytest.mark.parametrize(
    ("status", "said", "sent", "fault"),
    [
        (
            400,
            {"error": {"message": "Bad.", "type": "Bad Request", "param": "body.n", "code": 400}},
            400,
            {"message": "Bad.", "type": "invalid_request_error", "param": "n"}
            | {"code": "invalid_request"},
        ),
        (
            404,
            {
                "error": {
                    "message": "No `x`.",
                    "type": "NotFoundError",
                    "param": "model",
                    "code": 404,
                }
            },
            404,
            {"message": "No `x`.", "type": "invalid_request_error", "param": "model"}
            | {"code": "model_not_found"},
        ),
        (
            400,
            {"error": {"message": "This model's maximum context length is 8.", "code": 400}},
            400,
            {"message": "This model's maximum context length is 8."}
            | {"type": "invalid_request_error", "param": None, "code": "context_length_exceeded"},
        ),
        (
            422,
            {"detail": [{"loc": ["body", "n"]}]},
            400,
            {"message": '[{"loc": ["body", "n"]}]', "type": "invalid_request_error"}
            | {"param": None, "code": "invalid_request"},
        ),
        (
            500,
            {"error": {"message": "Broken.", "type": "InternalServerError", "code": 500}},
            500,
            {"message": "Broken.", "type": "server_error", "param": None}
            | {"code": "internal_error"},
        ),
        (
            503,
            {"error": "Scaling."},
            503,
            {"message": "Scaling.", "type": "service_unavailable_error", "param": None}
            | {"code": "unavailable"},
        ),
    ],
)
async def test_vllm_s_errors_get_openai_s_types_and_a_string_code(
    status: int, said: object, sent: int, fault: object
) -> None:
    at = house()
    at.app.script = json_answer(status, said)
    done = await at.ask()
    assert done.status == sent
    assert done.answer_json == {"error": fault}
    assert done.answer_headers["content-length"] == str(len(done.answer_body))


async def test_on_messages_vllm_s_errors_get_anthropic_s_shape() -> None:
    at = house()
    said = {"type": "error", "error": {"type": "BadRequestError", "message": "Bad."}}
    at.app.script = json_answer(400, said)
    done = await at.ask("/v1/messages")
    fault = {"type": "invalid_request_error", "message": "Bad."}
    assert done.answer_json == {"type": "error", "error": fault}


async def test_an_error_in_plain_text_and_in_pieces_is_told_whole() -> None:
    at = house()

    async def pieces(send: Send) -> None:
        await send(start(500, (b"content-type", b"text/plain"), (b"content-length", b"21")))
        await send(body(b"Internal ", more=True))
        await send(body(b"Server Error"))

    at.app.script = pieces
    done = await at.ask()
    assert done.answer_json["error"]["message"] == "Internal Server Error"
    assert len(done.sent) == 2


async def test_a_stream_tells_proxies_to_pass_it_on_at_once() -> None:
    headers = (await house().ask()).answer_headers
    assert headers["x-accel-buffering"] == "no"
    assert headers["cache-control"] == "no-cache"


async def test_a_streams_own_words_on_caching_are_not_doubled() -> None:
    at = house()

    async def stream(send: Send) -> None:
        kind = (b"Content-Type", b"text/event-stream; charset=utf-8")
        await send(start(200, kind, (b"Cache-Control", b"no-store")))
        await send(body(b"data: [DONE]\n\n"))

    at.app.script = stream
    assert (await at.ask()).answer_headers["cache-control"] == "no-cache"


async def test_a_whole_answer_has_nothing_for_proxies() -> None:
    at = house()
    at.app.script = json_answer(200, {})
    assert "x-accel-buffering" not in (await at.ask()).answer_headers


@pytest.mark.parametrize(
    ("prefill_s", "status"), [(None, 400), (0.5, 500)], ids=["before a token", "after one"]
)
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions", "/v1/responses"])
async def test_what_the_model_did_wrong_is_not_the_callers(
    path: str, prefill_s: float | None, status: int
) -> None:
    """VLLM tells every ValueError as a 400, also one of reading what the model wrote."""
    at = house()
    at.gate.known_prefill_s = prefill_s
    at.app.script = json_answer(400, {"error": {"message": "1 validation error", "code": 400}})
    done = await at.ask(path)
    assert done.status == status
    assert "1 validation error" in done.answer_json["error"]["message"]


async def test_a_refusal_says_why_when_and_whether_to_come_back() -> None:
    at = house()
    at.gate.refusal = Rejected(Reason.KV_CAPACITY, "No room.", retry_after_s=4.0)
    done = await at.ask()
    assert done.status == 429
    headers = done.answer_headers
    assert headers["x-sluice-reason"] == "kv_capacity"
    assert headers["x-should-retry"] == "true"
    assert 4 <= int(headers["retry-after"]) <= 6
    assert 4000 <= int(headers["retry-after-ms"]) <= 6000
    assert done.answer_json["error"] == {
        "message": "No room.",
        "type": "rate_limit_error",
        "param": None,
        "code": "kv_capacity",
    }


async def test_a_refusal_on_messages_has_anthropic_s_shape() -> None:
    at = house()
    at.gate.verdict = Rejected(Reason.DRAINING, "Closing.")
    done = await at.ask("/v1/messages")
    assert done.status == 503
    assert done.answer_json["error"] == {"type": "overloaded_error", "message": "Closing."}


async def test_a_bug_at_the_edge_is_a_500_not_a_silence() -> None:
    at = house()

    def broken(*_: object) -> None:
        raise RuntimeError("bug")

    at.gate.deadline_s = broken
    done = await at.ask()
    assert done.status == 500
    assert done.answer_json["error"]["code"] == "internal_error"


async def test_one_line_per_request_says_everything_but_the_text() -> None:
    at = house()
    at.gate.refusal = Rejected(Reason.QUEUE_FULL, "Full.")
    await at.ask(headers={"x-request-id": "mine", "x-sluice-run": "r7"})
    (line,) = at.log
    assert json.loads(json.dumps(line)) == {
        "at": line["at"],
        "id": "mine",
        "tenant": "anonymous",
        "method": "POST",
        "route": "/v1/chat/completions",
        "status": 429,
        "duration_s": 0.0,
        "priority": "normal",
        "reason": "queue_full",
        "run": "r7",
        "deadline_s": 30.0,
        "queued_s": 0.0,
        "first_byte_s": 0.0,
        "prompt_tokens": None,
        "output_tokens": None,
        "finish": None,
        "client_left": False,
    }
    assert "hello" not in json.dumps(line)


async def test_requests_without_a_visit_have_a_line_too() -> None:
    at = house()
    await at.ask("/nowhere" + "x" * 1000, method="GET")
    await at.ask("/version", method="GET")
    assert [line["status"] for line in at.log] == [404, 200]
    assert len(at.log[0]["route"]) == 200


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_probe_has_a_line_only_where_it_finds_trouble(method: str) -> None:
    at = house()
    for path in ("/health", "/metrics"):
        await at.ask(path, method=method)
    assert at.log == []
    at.gate.healthy = False
    await at.ask("/health", method=method)
    assert [line["status"] for line in at.log] == [503]


async def test_a_body_that_vllms_own_checks_trip_over_is_a_400() -> None:
    at = house()
    at.app.script = json_answer(500, {"error": {"message": "no attribute 'get'"}})
    at.gate.body_fault = "structured_outputs: not an object"
    done = await at.ask()
    assert done.status == 400
    assert done.answer_json["error"]["message"] == at.gate.body_fault


async def test_a_failure_that_is_not_the_bodys_stays_a_500() -> None:
    at = house()
    at.app.script = json_answer(500, {"error": {"message": "a bug"}})
    assert (await at.ask()).status == 500


async def test_what_vllm_has_not_implemented_is_a_400() -> None:
    at = house()
    at.app.script = json_answer(501, {"error": {"message": "not yet"}})
    done = await at.ask()
    assert done.status == 400
    assert done.answer_json["error"]["code"] == "unsupported"
