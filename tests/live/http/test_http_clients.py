"""What clients of all kinds do on the wire: encodings, slashes, old HTTP, and half a connection."""

import gzip
import http.client
import json
import socket
import zlib
from typing import Any

import brotli
import openai
import pytest
from backports import zstd

from tests.live.ask import nothing_held
from tests.live.clients import GOOD, MODEL, TIMEOUT_S, openai_of, send
from tests.live.gateway import Gateway, wait_until

CHAT, COMPLETIONS, RESPONSES, MESSAGES = GOOD


def on_the_wire(gateway: Gateway, text: bytes, *, then_close_sending: bool = False) -> bytes:
    """Everything that comes back until the other side closes."""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=TIMEOUT_S) as line:
        line.sendall(text)
        if then_close_sending:
            line.shutdown(socket.SHUT_WR)
        back = b""
        while piece := line.recv(65_536):
            back += piece
        return back


def posted(path: str, document: Any, *, version: str, more: str = "") -> bytes:
    body = json.dumps(document).encode()
    head = f"POST {path} HTTP/{version}\r\nHost: x\r\nContent-Type: application/json\r\n{more}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


@pytest.mark.parametrize(
    ("named", "encode"),
    [
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("br", brotli.compress),
        ("zstd", zstd.compress),
    ],
)
def test_an_encoded_body_is_answered(gateway: Gateway, named: str, encode: Any) -> None:
    body = encode(json.dumps(GOOD[CHAT]).encode())
    answer = send(gateway, "POST", CHAT, body, {"content-encoding": named})
    assert answer.status == 200
    assert answer.document["usage"]["completion_tokens"] == 2


def test_a_bomb_and_an_unknown_encoding_are_refused(gateway: Gateway) -> None:
    bomb = gzip.compress(bytes(100_000_000))
    assert send(gateway, "POST", CHAT, bomb, {"content-encoding": "gzip"}).status == 413
    unknown = send(gateway, "POST", CHAT, b"x", {"content-encoding": "compress"})
    assert (unknown.status, "gzip" in unknown.headers["accept-encoding"]) == (415, True)


@pytest.mark.parametrize("path", [f"{CHAT}/", "/v1//chat/completions"])
def test_slashes_that_clients_add_do_not_count(gateway: Gateway, path: str) -> None:
    assert send(gateway, "POST", path, GOOD[CHAT]).status == 200


def test_heads_leave_the_connection_as_it_was(gateway: Gateway) -> None:
    line = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=TIMEOUT_S)
    try:
        for path in ("/health", "/v1/models", f"/v1/models/{MODEL}", "/metrics/", "/nowhere"):
            line.request("HEAD", path)
            answer = line.getresponse()
            assert answer.read() == b""
            assert answer.status == (404 if path == "/nowhere" else 200)
        line.request("GET", "/health")
        assert json.loads(line.getresponse().read()) == {"status": "ok"}
    finally:
        line.close()


def test_one_model_is_found_by_its_id(gateway: Gateway) -> None:
    client = openai_of(gateway)
    (listed,) = client.models.list()
    assert client.models.retrieve(MODEL).id == listed.id == MODEL
    for name in ("unknown", "org/unknown"):
        with pytest.raises(openai.NotFoundError) as failure:
            client.models.retrieve(name)
        assert failure.value.code == "model_not_found"


def test_a_stream_tells_proxies_to_pass_it_on(gateway: Gateway) -> None:
    for route, body in GOOD.items():
        answer = send(gateway, "POST", route, {**body, "stream": True})
        assert answer.headers["x-accel-buffering"] == "no", route
        assert answer.headers["cache-control"] == "no-cache", route


@pytest.mark.parametrize("more", ["", "Connection: keep-alive\r\n"])
@pytest.mark.parametrize("stream", [False, True])
def test_http_1_0_callers_get_no_chunks(gateway: Gateway, stream: bool, more: str) -> None:
    body = {**GOOD[CHAT], "stream": stream}
    more_close = more or "Connection: close\r\n"
    if more and not stream:
        pytest.skip("the connection stays open: its answer has a length")
    text = posted(CHAT, body, version="1.0", more=more_close)
    head, _, rest = on_the_wire(gateway, text).partition(b"\r\n\r\n")
    assert head.split()[1] == b"200"
    assert b"transfer-encoding" not in head.lower()
    if stream:
        assert rest.startswith(b"data: {")
        assert rest.endswith(b"data: [DONE]\n\n")
    else:
        assert json.loads(rest)["usage"]["completion_tokens"] == 2


def test_half_a_connection_counts_as_a_caller_that_left(gateway: Gateway) -> None:
    """docs/reference/http-api.md says so, and how to ask by hand."""
    text = posted(CHAT, GOOD[CHAT], version="1.1")
    back = on_the_wire(gateway, text, then_close_sending=True)
    head, _, rest = back.partition(b"\r\n\r\n")
    if back:  # with an error of HAProxy's own, in words
        assert head.split()[1] == b"400"
        assert "sending half" in json.loads(rest)["error"]["message"]
    wait_until(lambda: nothing_held(gateway), within_s=TIMEOUT_S)


def test_an_echo_without_an_answer_counts_no_answer(gateway: Gateway) -> None:
    body = {"model": MODEL, "prompt": ["Hello!", "Good day"], "max_tokens": 0, "echo": True}
    usage = send(gateway, "POST", COMPLETIONS, {**body, "logprobs": 1}).document["usage"]
    assert (usage["completion_tokens"], usage["total_tokens"]) == (0, usage["prompt_tokens"])
    body |= {"stream": True, "stream_options": {"include_usage": True}}
    text = send(gateway, "POST", COMPLETIONS, body).body.decode()
    told = [json.loads(e[6:]) for e in text.split("\n\n") if e.startswith("data: {")]
    assert told[-1]["usage"]["completion_tokens"] == 0
    assert told[-1]["usage"]["total_tokens"] == usage["prompt_tokens"]
    assert "".join(c["text"] for e in told for c in e["choices"]) == "Hello!Good day"


def test_a_response_is_continued_with_its_own_items(gateway: Gateway) -> None:
    """As SDKs dump them: with every field that was not set as null."""
    client = openai_of(gateway)
    first = client.responses.create(model=MODEL, input="Hello!", max_output_tokens=4)
    items: list[Any] = [{"role": "user", "content": "Hello!"}]
    items += [item.model_dump() for item in first.output]
    items += [{"role": "assistant", "content": [{"type": "output_text", "text": "Hi."}]}]
    items += [{"role": "user", "content": "And now?", "type": None}]
    again = client.responses.create(model=MODEL, input=items, max_output_tokens=4)
    assert again.usage is not None
    assert first.usage is not None
    assert again.usage.input_tokens > first.usage.input_tokens
    assert again.id.startswith("resp_")
    assert again.output[0].id.startswith("msg_")  # type: ignore[union-attr]


def test_a_field_of_older_vllm_is_told_before_anything_runs(gateway: Gateway) -> None:
    for route, body in GOOD.items():
        answer = send(gateway, "POST", route, {**body, "guided_choice": ["a"], "stream": True})
        assert answer.status == 400, route
        assert "guided_choice" in answer.document["error"]["message"]
