"""Streams as other servers send them: each kind has one right reading, and none makes us raise."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.client.stream import AnswerReader, Heard

ROLE = '{"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}'
WORD = '{"choices":[{"index":0,"delta":{"content":" word"},"finish_reason":null}]}'
LAST = '{"choices":[{"index":0,"delta":{"content":""},"finish_reason":"stop"}]}'
USAGE = '{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3}}'
DONE = "[DONE]"
WHOLE = (ROLE, WORD, WORD, LAST, USAGE, DONE)


def sse(*events: str, end: str = "\n", head: str = "data: ") -> bytes:
    return "".join(f"{head}{event}{end}{end}" for event in events).encode()


def heard(body: bytes, *, block: int | None = None, keep_text: bool = False) -> Heard:
    """Read in blocks of so many bytes, one a second; None = line by line."""
    reader = AnswerReader(keep_text=keep_text)
    blocks = (
        body.splitlines(keepends=True)
        if block is None
        else [body[at : at + block] for at in range(0, len(body), block)]
    )
    for second, each in enumerate(blocks, start=1):
        reader.read(each, float(second))
    return reader.heard()


def edited(text: str, **changed: Any) -> str:
    """An event with other fields."""
    return json.dumps(json.loads(text) | changed)


def delta(finish: str | None = None, **fields: Any) -> str:
    return json.dumps({"choices": [{"index": 0, "delta": fields, "finish_reason": finish}]})


def counted(event: str, tokens: Any, **more: Any) -> str:
    return edited(event, usage={"prompt_tokens": 7, "completion_tokens": tokens} | more)


# -- answers that are whole, and their tokens ------------------------------------------------------

COMPLETE: Mapping[str, tuple[bytes, int]] = {
    "as vLLM": (sse(*WHOLE), 3),
    "CR LF": (sse(*WHOLE, end="\r\n"), 3),
    "CR": (sse(*WHOLE, end="\r"), 3),
    "no space after data:": (sse(*WHOLE, head="data:"), 3),
    "one line end between events": (sse(*WHOLE).replace(b"\n\n", b"\n"), 3),
    "a byte-order mark": (b"\xef\xbb\xbf" + sse(*WHOLE), 3),
    "comments": (b": hello\n\n" + sse(*WHOLE[:2]) + b": ping\n\n:\n\n" + sse(*WHOLE[2:]), 3),
    "other fields": (b"retry: 5\nid: 7\nevent: message\n" + sse(*WHOLE), 3),
    "pings": (sse(ROLE, WORD, '{"type":"ping"}', WORD, LAST, USAGE, DONE), 3),
    "pings of their own name": (
        sse(ROLE, WORD) + b"event: ping\ndata: {}\n\n" + sse(*WHOLE[2:]),
        3,
    ),
    "empty data": (sse(ROLE, WORD, "", WORD, LAST, USAGE, DONE), 3),
    "values that are no object": (sse(ROLE, WORD, "null", "[]", "7", '"x"', WORD, LAST, USAGE), 3),
    "data on several lines": (
        sse(*WHOLE).replace(
            WORD.encode(), json.dumps(json.loads(WORD), indent=1).replace("\n", "\ndata: ").encode()
        ),
        3,
    ),
    "no [DONE]": (sse(*WHOLE[:-1]), 3),
    "no line end at the end": (sse(*WHOLE).rstrip(), 3),
    "[DONE] in quotes": (sse(*WHOLE[:-1], '"[DONE]"'), 3),
    "choices null": (sse('{"choices":null}', *WHOLE[:4], edited(USAGE, choices=None), DONE), 3),
    "choices missing": (sse("{}", *WHOLE[:4], '{"usage":{"completion_tokens":3}}', DONE), 3),
    "a choice that is none": (sse(edited(ROLE, choices=[None, 3, "x"]), *WHOLE[1:]), 3),
    "a delta that is null": (sse(delta(), *WHOLE[1:]).replace(b"{}", b"null"), 3),
    "a delta that is its text": (
        sse(ROLE, '{"choices":[{"index":0,"delta":"a"}]}', *WHOLE[2:]),
        3,
    ),
    "content in parts": (sse(ROLE, delta(content=[{"type": "text", "text": "a"}]), *WHOLE[2:]), 3),
    "a content filter's first event": (sse(edited(USAGE, prompt_filter_results=[{}]), *WHOLE), 3),
    "no finish_reason": (sse(ROLE, WORD, WORD, USAGE, DONE), 3),
    'finish_reason "null"': (
        sse(ROLE.replace(":null", ':"null"'), WORD.replace(":null", ':"null"'), *WHOLE[2:]),
        3,
    ),
    "finish_reason twice": (sse(ROLE, WORD, WORD, LAST, LAST, DONE), 3),
    "tokens of a tool call": (
        sse(
            delta(role="assistant", content=None),
            delta(tool_calls=[{"index": 0, "id": "c", "function": {"name": "f", "arguments": ""}}]),
            delta(tool_calls=[{"index": 0, "function": {"arguments": ""}}]),
            delta(tool_calls=[{"index": 0, "function": {"arguments": "{}"}}]),
            delta("tool_calls"),
            DONE,
        ),
        3,
    ),
    **{
        f"error {error}": (
            sse(*(edited(each, error=json.loads(error)) for each in WHOLE[:-1]), DONE),
            3,
        )
        for error in ("null", '""', "{}", "[]", "false", '{"code":null,"message":""}')
    },
    "code and message of a good answer": (
        sse(*(edited(each, code=0, message="ok", detail=None) for each in WHOLE[:-1]), DONE),
        3,
    ),
    # usage, however a server counts
    "usage null until the end": (sse(*(edited(e, usage=None) for e in WHOLE[:4]), USAGE), 3),
    "usage that grows": (sse(ROLE, counted(WORD, 1), counted(LAST, 5), DONE), 5),
    "usage that grows from the role on": (
        sse(counted(ROLE, 0), counted(WORD, 1), counted(WORD, 2), counted(LAST, 3), USAGE, DONE),
        3,
    ),
    "usage that grows, but for the end": (
        sse(ROLE, *(counted(WORD, n) for n in range(1, 10)), LAST, DONE),
        9,
    ),
    "usage that grows, then a placeholder": (
        sse(ROLE, *(counted(WORD, n) for n in range(1, 10)), counted(USAGE, 0), LAST, DONE),
        9,
    ),
    "usage of each event": (sse(ROLE, *[counted(WORD, 1)] * 6, counted(LAST, 1), DONE), 7),
    "usage of each event, of several": (
        sse(ROLE, counted(WORD, 4), counted(WORD, 2), counted(LAST, 3), DONE),
        9,
    ),
    "usage of each event, and a total": (
        sse(ROLE, counted(WORD, 4), counted(WORD, 2), counted(USAGE, 6), DONE),
        6,
    ),
    "usage 0 until the end": (sse(counted(ROLE, 0), counted(WORD, 0), counted(LAST, 9), DONE), 9),
    "usage beside the last token": (sse(ROLE, WORD, counted(LAST, 40), DONE), 40),
    "usage in the choice": (
        sse(ROLE, WORD, LAST.replace('"index"', '"usage":{"completion_tokens":8},"index"'), DONE),
        8,
    ),
    "usage of groq": (sse(ROLE, WORD, edited(LAST, x_groq={"usage": {"completion_tokens": 8}})), 8),
    "timings of llama.cpp": (sse(ROLE, WORD, edited(LAST, timings={"predicted_n": 8}), DONE), 8),
    "usage in text": (sse(ROLE, WORD, counted(USAGE, "12"), DONE), 12),
    "usage in halves of a number": (sse(ROLE, WORD, counted(USAGE, 12.0), DONE), 12),
    "another API's names": (sse(ROLE, WORD, edited(USAGE, usage={"output_tokens": 4}), DONE), 4),
    "details null": (sse(ROLE, WORD, counted(USAGE, 3, prompt_tokens_details=None), DONE), 3),
    # none: the events are counted
    "no usage": (sse(ROLE, WORD, WORD, LAST, DONE), 3),
    "usage of nothing": (sse(ROLE, WORD, WORD, LAST, counted(USAGE, 0), DONE), 3),
    "usage that is nonsense": (
        sse(ROLE, WORD, WORD, counted(LAST, -3), counted(USAGE, {"a": 1}), counted(USAGE, 1e400)),
        3,
    ),
    # no stream, but an answer
    "whole": (
        json.dumps(
            {
                "choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}],
                "usage": {"completion_tokens": 3},
            },
            indent=1,
        ).encode(),
        3,
    ),
    "lines of JSON": (b"".join(each.encode() + b"\n" for each in WHOLE[:-1]), 3),
}


@pytest.mark.parametrize("block", [None, 1, 7, 100_000])
@pytest.mark.parametrize("name", COMPLETE)
def test_a_whole_answer_is_read_whole(name: str, block: int | None) -> None:
    body, tokens = COMPLETE[name]
    answer = heard(body, block=block)
    assert (answer.complete, answer.error, answer.output_tokens) == (True, None, tokens)


@pytest.mark.parametrize("name", COMPLETE)
def test_what_was_not_told_is_marked(name: str) -> None:
    answer = heard(COMPLETE[name][0])
    counts = b'_tokens":' in COMPLETE[name][0] or b"predicted_n" in COMPLETE[name][0]
    nothing = name in {"usage of nothing", "usage that is nonsense"}
    assert answer.estimated == (nothing or not counts)
    assert answer.streamed == (name not in {"whole", "lines of JSON"})


# -- answers that failed ---------------------------------------------------------------------------

ERRORS: Mapping[str, tuple[str, str, str | None]] = {  # event, code, words
    "OpenAI": ('{"error":{"message":"boom","type":"x","code":500}}', "500", "boom"),
    "without a code": ('{"error":{"message":"boom","type":"x","code":null}}', "x", "boom"),
    "words only": ('{"error":{"message":"boom"}}', "boom", "boom"),
    "a string": ('{"error":"boom"}', "boom", "boom"),
    "a list": ('{"errors":[{"code":7,"message":"boom"}]}', "7", "boom"),
    "in a list": ('{"error":[{"message":"boom"}]}', "boom", "boom"),
    "true": ('{"error":true}', "True", "True"),
    "Anthropic": (
        '{"type":"error","error":{"type":"overloaded","message":"b"}}',
        "overloaded",
        "b",
    ),
    "older vLLM": ('{"object":"error","message":"boom","type":"T","code":400}', "400", "boom"),
    "FastAPI": ('{"detail":"boom"}', "boom", "boom"),
    "FastAPI, a list": ('{"detail":[{"msg":"boom"}]}', '[{"msg": "boom"}]', '[{"msg": "boom"}]'),
    "a message": ('{"message":"boom"}', "boom", "boom"),
    "a message and a code": ('{"code":1113,"msg":"boom"}', "1113", "boom"),
    "Baidu": ('{"error_code":17,"error_msg":"boom"}', "17", "boom"),
    "MiniMax": (
        '{"choices":null,"base_resp":{"status_code":1004,"status_msg":"boom"}}',
        "1004",
        "boom",
    ),
    "beside a token": (edited(WORD, error={"message": "boom", "code": "died"}), "died", "boom"),
    "beside an end": (edited(LAST, error="boom"), "boom", "boom"),
    "beside usage": (edited(USAGE, error={"code": "x"}), "x", None),
}


@pytest.mark.parametrize("before", [(), (ROLE,), (ROLE, WORD, WORD, WORD), (ROLE, WORD, LAST)])
@pytest.mark.parametrize("name", ERRORS)
def test_an_error_fails_an_answer_wherever_it_comes(name: str, before: tuple[str, ...]) -> None:
    event, code, said = ERRORS[name]
    for after in ((), (DONE,), (LAST, USAGE, DONE)):
        answer = heard(sse(*before, event, *after))
        assert (answer.complete, answer.error, answer.said) == (False, code, said)


@pytest.mark.parametrize("data", ['{"message":"boom"}', "boom", '"boom"', '{"a":1}', "{}"])
def test_an_event_called_error_is_one_whatever_it_says(data: str) -> None:
    body = sse(ROLE, WORD) + f"event: error\ndata: {data}\n\n".encode() + sse(LAST, USAGE, DONE)
    assert not heard(body).complete
    assert heard(body).error


BROKEN: Mapping[str, tuple[bytes, str | None]] = {  # body, reason; None = it was cut off
    "nothing": (b"", None),
    "comments only": (b": ping\n\n: ping\n\n", None),
    "[DONE] only": (sse(DONE), "empty_answer"),
    "a role only": (sse(ROLE, DONE), "empty_answer"),
    "an end only": (sse(ROLE, LAST, DONE), "empty_answer"),
    "no token by its own count": (sse(ROLE, LAST, counted(USAGE, 0), DONE), "empty_answer"),
    "usage only": (sse(counted(USAGE, 0), DONE), "empty_answer"),
    "a stream that just ends": (sse(ROLE, WORD, WORD), None),
    "half an event": (sse(ROLE, WORD) + b'data: {"choi', None),
    "one of two choices": (sse(*WHOLE[:3], WORD.replace(":0", ":1"), LAST), None),
    "a page": (b"<html><head><title>502 Bad Gateway</title></head></html>", "not_a_stream"),
    "plain text": (b"upstream connect error", "not_a_stream"),
    "JSON of something else": (b'{"id": 7}', "not_a_stream"),
    "a list": (b"[1, 2]", "not_a_stream"),
    "no UTF-8": (b"\xff\xfe\x00\x80" * 20, "not_a_stream"),
    "zipped": (b"\x1f\x8b\x08\x00\x00\x00", "not_a_stream"),
    "values only": (sse('"hm"', "7", DONE), "not_understood"),
    "not JSON": (sse(ROLE, WORD, "Internal Server Error", LAST, DONE), "not_json"),
    "too deep": (sse(ROLE, WORD, "[" * 100_000, LAST, DONE), "not_json"),
    **{
        f"finish_reason {reason}": (sse(ROLE, WORD, delta(reason), DONE), f"finish_{reason}")
        for reason in ("error", "abort", "cancelled", "failed", "network_error", "timeout")
    },
}


@pytest.mark.parametrize("block", [None, 1, 100_000])
@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_answer_is_never_counted_as_one(name: str, block: int | None) -> None:
    body, reason = BROKEN[name]
    answer = heard(body, block=block)
    assert (answer.complete, answer.error) == (False, reason)


def test_a_body_that_is_no_stream_is_shown_in_a_line() -> None:
    assert heard(BROKEN["a page"][0]).said == "502 Bad Gateway"
    assert heard(b"no \x1b[31mway\nhere").said == "no [31mway here"
    assert heard(b'{"error": {"message": "boom",\n "code": "x"}}').said == "boom"


@pytest.mark.parametrize("reason", ["stop", "length", "tool_calls", "content_filter", "eos", "new"])
def test_an_end_is_no_failure(reason: str) -> None:
    assert heard(sse(ROLE, WORD, delta(reason), DONE)).complete


# -- times -----------------------------------------------------------------------------------------


def at_seconds(*events: str) -> Heard:
    """Each event at its own second."""
    reader = AnswerReader()
    for second, event in enumerate(events, start=1):
        reader.read(sse(event), float(second))
    return reader.heard()


def test_an_empty_delta_is_no_token_and_hides_no_stall() -> None:
    empties = (delta(), delta(content=""), delta(content=None), delta(tool_calls=[]))
    answer = at_seconds(ROLE, WORD, *empties, WORD, LAST, DONE)
    assert answer.first_at_s == 2.0
    assert answer.gaps_s == [5.0, 1.0]


def test_the_role_comes_before_the_first_token_whatever_stands_beside_it() -> None:
    role = delta(role="assistant", content="", tool_calls=None, function_call=None, refusal=None)
    assert at_seconds(role, WORD, LAST).first_at_s == 2.0


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content", "thinking", "refusal"])
def test_what_a_model_thinks_is_a_token(name: str) -> None:
    answer = at_seconds(ROLE, delta(**{name: "a"}), delta(**{name: "b"}), WORD, LAST)
    assert (answer.first_at_s, len(answer.gaps_s)) == (2.0, 3)


# -- the short way ---------------------------------------------------------------------------------

_TEXTS = st.one_of(st.text(max_size=5), st.sampled_from(['"', "\\", '\\"', "é", "你", "stop", "x"]))


@given(
    st.lists(st.tuples(_TEXTS, st.sampled_from(["content", "reasoning"])), max_size=12),
    st.booleans(),
    st.booleans(),
)
def test_the_short_way_reads_what_parsing_reads(
    tokens: list[tuple[str, str]], escaped: bool, spaced: bool
) -> None:
    """A reader without templates parses every event; both come to the same."""
    separators = (", ", ": ") if spaced else (",", ":")
    events = [
        json.dumps(json.loads(delta(**{name: text})), ensure_ascii=escaped, separators=separators)
        for text, name in tokens
    ]
    quick, slow = AnswerReader(keep_text=True), AnswerReader(keep_text=True)
    for second, event in enumerate([*events, LAST, DONE]):
        block = f"data: {event}\n\n".encode()
        quick.read(block, float(second))
        slow.read(block, float(second))
        slow._template = None
    assert quick.heard() == slow.heard()
    assert quick.heard().text == "".join(text for text, name in tokens if name == "content")


@given(st.lists(st.sampled_from([*WHOLE, '{"error":null}', "7", "{", "null"]) | st.text()))
def test_nothing_makes_the_reader_raise(events: list[str]) -> None:
    heard(sse(*events))
    heard("".join(events).encode("utf-8", "surrogatepass"))


@given(st.binary(max_size=200))
def test_no_bytes_make_the_reader_raise(body: bytes) -> None:
    heard(body, block=9)
    heard(b"data: " + body, block=50)


_KEYS = (
    *("choices", "delta", "index", "content", "text", "error", "message", "code", "base_resp"),
    *("usage", "completion_tokens", "prompt_tokens_details", "cached_tokens", "finish_reason"),
    *("x_groq", "timings"),
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(_KEYS),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.lists(_JSON, max_size=4))
def test_no_json_makes_the_reader_raise(events: list[Any]) -> None:
    heard(sse(*(json.dumps(event) for event in events)))
