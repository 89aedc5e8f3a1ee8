"""What nobody should send: always the right status and that API's own error, and nothing breaks."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from admission.terms.decision import Reason
from tests.live.ask import GONE_S, nothing_held
from tests.live.clients import GOOD, MODEL, Answer, send
from tests.live.gateway import Gateway, wait_until

CHAT, COMPLETIONS, RESPONSES, MESSAGES = GOOD
ROUTES = list(GOOD)
OPENAI_ROUTES = [CHAT, COMPLETIONS, RESPONSES]
LIMIT_NAME = {RESPONSES: "max_output_tokens"}  # elsewhere max_tokens
TEXT_NAME = {COMPLETIONS: "prompt", RESPONSES: "input"}


@pytest.fixture(scope="module", autouse=True)
def engine_that_must_live_on(gateway_of: Any) -> Iterator[None]:
    """After all of it the engine answers and nothing is held."""
    yield
    gateway = gateway_of()
    assert send(gateway, "POST", CHAT, GOOD[CHAT]).status == 200
    wait_until(lambda: nothing_held(gateway), within_s=GONE_S)


def body_with_text(route: str, text: str) -> dict[str, Any]:
    """A good body with `text` as its prompt."""
    if route in TEXT_NAME:
        return {**GOOD[route], TEXT_NAME[route]: text}
    return {**GOOD[route], "messages": [{"role": "user", "content": text}]}


def error_of(answer: Answer, route: str) -> dict[str, Any]:
    """The error object, which must be in the shape of the route's API."""
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"]
    assert answer.headers["x-should-retry"] in {"true", "false"}
    document = answer.document
    error: dict[str, Any] = document["error"]
    assert isinstance(error["message"], str)
    assert error["message"]
    if route == MESSAGES or route.startswith(f"{MESSAGES}/"):
        assert document.keys() == {"type", "error"}
        assert document["type"] == "error"
        assert error.keys() == {"type", "message"}
    else:
        assert document.keys() == {"error"}
        assert error.keys() == {"message", "type", "param", "code"}
        assert isinstance(error["code"], str)
    return error


def refused(answer: Answer, route: str, status: int, code: str, *, anthropic: str) -> None:
    """The answer is this error; `anthropic` is its type on /v1/messages, where there is no code."""
    error = error_of(answer, route)
    assert answer.status == status, error
    if route == MESSAGES:
        assert error["type"] == anthropic
    else:
        assert (error["type"], error["code"]) == ("invalid_request_error", code)


def bad_request(answer: Answer, route: str, code: str = "invalid_request") -> None:
    """A plain 400."""
    refused(answer, route, 400, code, anthropic="invalid_request_error")


# -- not even a request --------------------------------------------------------------------


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b'{"model": ', id="half a document"),
        pytest.param(b"[]", id="an array"),
        pytest.param(b'{"temperature": NaN}', id="NaN"),
        pytest.param(b'{"model": "\xff"}', id="not UTF-8"),
        pytest.param(b'{"messages":' + b"[" * 100_000, id="depth without end"),
        pytest.param(b'{"tools":' + b"[" * 100 + b"]" * 100 + b"}", id="too deep"),
    ],
)
def test_a_body_that_is_no_json_object_is_a_400(gateway: Gateway, route: str, body: bytes) -> None:
    bad_request(send(gateway, "POST", route, body), route)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_of_10_mb_is_a_413(gateway: Gateway, route: str, chunked: bool) -> None:
    body = json.dumps(body_with_text(route, "x" * 10_000_000)).encode()
    pieces = (body[at : at + 65_536] for at in range(0, len(body), 65_536))
    answer = send(gateway, "POST", route, pieces if chunked else body)
    refused(answer, route, 413, "request_too_large", anthropic="request_too_large")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/embeddings"),
        ("POST", "/v1/chat/completions/batch"),
        ("POST", "/invocations"),
        ("POST", "/v1/messages/batches"),
        ("POST", "/v1/chat/completions/batch/"),
        ("GET", "/v1/responses/resp_1"),
        ("GET", "/v1/chat/completions"),
        ("DELETE", "/v1/models"),
        ("GET", "/docs"),
    ],
)
def test_a_route_that_is_not_on_the_list_is_a_404(gateway: Gateway, method: str, path: str) -> None:
    answer = send(gateway, method, path, {} if method == "POST" else None)
    assert answer.status == 404
    assert error_of(answer, path)["type"] in {"invalid_request_error", "not_found_error"}


# -- wrong fields --------------------------------------------------------------------------


@pytest.mark.parametrize("route", ROUTES)
def test_a_body_without_its_prompt_is_a_400(gateway: Gateway, route: str) -> None:
    bad_request(send(gateway, "POST", route, {"model": MODEL, "max_tokens": 1}), route)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("limit", [-1, "many", 1.5, 10**12])
def test_a_limit_that_is_no_limit_is_a_400(
    gateway: Gateway, route: str, limit: Any, stream: bool
) -> None:
    body = {**GOOD[route], LIMIT_NAME.get(route, "max_tokens"): limit, "stream": stream}
    bad_request(send(gateway, "POST", route, body), route)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": "hot"},
        {"temperature": -1},
        {"top_p": 5},
        {"model": 7},
        {"stream_options": 7, "metadata": 7, "tools": 7},
    ],
    ids=str,
)
def test_a_field_of_the_wrong_type_or_range_is_a_400(
    gateway: Gateway, route: str, fields: dict[str, Any], stream: bool
) -> None:
    bad_request(send(gateway, "POST", route, {**GOOD[route], "stream": stream} | fields), route)


WRONG_SCHEMA = {"name": "x", "schema": {"type": "nonsense"}}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("route", "fields"),
    [
        (CHAT, {"messages": "hello"}),
        (CHAT, {"messages": [{"content": "x"}]}),
        (CHAT, {"n": -1}),
        (CHAT, {"n": 10**9}),
        (CHAT, {"logprobs": True, "top_logprobs": 1000}),
        (CHAT, {"logit_bias": {"999999": 1}}),
        (CHAT, {"stop_token_ids": [-1]}),
        (CHAT, {"response_format": {"type": "json_schema", "json_schema": WRONG_SCHEMA}}),
        (CHAT, {"tool_choice": "required"}),
        (CHAT, {"structured_outputs": {"regex": "("}}),
        (COMPLETIONS, {"prompt": []}),
        (COMPLETIONS, {"prompt": [""]}),
        (COMPLETIONS, {"prompt": [-1]}),
        (COMPLETIONS, {"prompt": [10**9]}),
        (COMPLETIONS, {"logprobs": 1000}),
        (COMPLETIONS, {"min_tokens": 9}),
        (COMPLETIONS, {"prompt": ["x"] * 20_000}),
        (RESPONSES, {"logit_bias": {"999999": 1}}),
        (RESPONSES, {"text": {"format": {"type": "json_schema", **WRONG_SCHEMA}}}),
        (MESSAGES, {"messages": [{"role": "nobody", "content": "x"}]}),
        (MESSAGES, {"stop_sequences": [""]}),
        (
            MESSAGES,
            {"output_config": {"format": {"type": "json_schema", **WRONG_SCHEMA}}},
        ),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_only_the_engine_can_know_to_be_wrong_is_a_400_for_streams_too(
    gateway: Gateway, route: str, fields: dict[str, Any], stream: bool
) -> None:
    bad_request(send(gateway, "POST", route, {**GOOD[route], "stream": stream} | fields), route)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("stream", [False, True])
def test_an_unknown_model_is_a_404(gateway: Gateway, route: str, stream: bool) -> None:
    answer = send(gateway, "POST", route, {**GOOD[route], "model": "gpt-9", "stream": stream})
    refused(answer, route, 404, "model_not_found", anthropic="not_found_error")
    assert "gpt-9" in error_of(answer, route)["message"]


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("stream", [False, True])
def test_a_prompt_over_the_model_s_limit_is_a_400_that_names_it(
    gateway: Gateway, route: str, stream: bool
) -> None:
    body = {**body_with_text(route, "word " * 9000), "stream": stream}
    answer = send(gateway, "POST", route, body)
    bad_request(answer, route, "context_length_exceeded")
    assert "8192" in error_of(answer, route)["message"]


# -- what is refused on principle ----------------------------------------------------------


def never(answer: Answer, route: str, reason: Reason) -> None:
    """A refusal that no waiting changes."""
    bad_request(answer, route, reason)
    assert answer.headers["x-sluice-reason"] == reason
    assert answer.headers["x-should-retry"] == "false"
    assert "retry-after" not in answer.headers


@pytest.mark.parametrize("route", ROUTES)
def test_a_prompt_that_cannot_fit_whatever_its_tokens_are_is_not_even_rendered(
    gateway: Gateway, route: str
) -> None:
    body = body_with_text(route, "x" * (32 * 8192 + 1))
    never(send(gateway, "POST", route, body), route, Reason.NEVER_FITS)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("route", "fields", "reason"),
    [
        (CHAT, {"n": 65}, Reason.NEVER_FITS),
        (COMPLETIONS, {"prompt": ["x"] * 1000, "n": 16_384}, Reason.NEVER_FITS),
        (CHAT, {"use_beam_search": True}, Reason.UNSUPPORTED),
        (COMPLETIONS, {"use_beam_search": True, "n": 2}, Reason.UNSUPPORTED),
        (RESPONSES, {"background": True}, Reason.UNSUPPORTED),
        # vLLM's CPU worker ends on a seeded prompt in pieces: one request would take all down
        (CHAT, {"seed": 7}, Reason.UNSUPPORTED),
        (COMPLETIONS, {"seed": 7, "temperature": 0.5}, Reason.UNSUPPORTED),
        (RESPONSES, {"seed": 7}, Reason.UNSUPPORTED),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_cannot_be_priced_or_never_fits_is_a_400_with_its_reason(
    gateway: Gateway, route: str, fields: dict[str, Any], reason: Reason, stream: bool
) -> None:
    body = {**GOOD[route], "stream": stream} | fields
    never(send(gateway, "POST", route, body), route, reason)


def test_a_seed_that_decides_nothing_is_served(gateway: Gateway) -> None:
    body = body_with_text(CHAT, "word " * 600) | {"seed": 7, "temperature": 0}
    assert send(gateway, "POST", CHAT, body).status == 200


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("value", ["soon", "-5", "0", "nan"])
def test_a_deadline_that_is_no_number_of_milliseconds_is_a_400(
    gateway: Gateway, route: str, value: str
) -> None:
    answer = send(gateway, "POST", route, GOOD[route], {"x-slo-ttft-ms": value})
    bad_request(answer, route)


def test_a_page_that_looks_for_an_engine_endpoint_finds_none(gateway: Gateway) -> None:
    # vLLM mounts these; they would generate without a lease or administrate the engine
    for path in ("/load", "/v1/systemone", "/scale_elastic_ep", "/inference/v1/generate"):
        for method in ("GET", "POST"):
            assert send(gateway, method, path).status == 404
