"""Reading a streamed answer: which token is the first, how many, how it ended."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.client.stream import AnswerReader, Heard


def chat(
    text: str = " word", finish: str | None = None, *, name: str = "content", **more: Any
) -> dict[str, Any]:
    """A chat event with one choice."""
    return {"choices": [{"index": 0, "delta": {name: text}, "finish_reason": finish, **more}]}


def usage(prompt: int = 7, output: int = 3) -> dict[str, Any]:
    return {"choices": [], "usage": {"prompt_tokens": prompt, "completion_tokens": output}}


def heard(*events: dict[str, Any] | bytes, spaced: bool = False) -> Heard:
    """What comes of these events, read at 1.0, 2.0, 3.0 ... seconds."""
    reader = AnswerReader()
    separators = (", ", ": ") if spaced else (",", ":")
    for second, event in enumerate(events, start=1):
        line = event
        if isinstance(event, dict):
            line = b"data: " + json.dumps(event, separators=separators).encode() + b"\n"
        assert isinstance(line, bytes)
        reader.read(line, float(second))
        reader.read(b"\n", float(second))
    return reader.heard()


DONE = b"data: [DONE]\n"


def test_the_role_is_not_yet_a_token() -> None:
    answer = heard(chat("", role="assistant"), chat(), chat(), chat(finish="stop"), usage(), DONE)
    assert (answer.first_at_s, answer.last_at_s) == (2.0, 4.0)
    assert answer.gaps_s == [1.0, 1.0]
    assert answer.complete
    assert answer.finish == "stop"


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content", "tool_calls"])
def test_a_token_of_reasoning_or_of_a_tool_call_is_the_first_token_too(name: str) -> None:
    assert heard(chat(""), chat("hm", name=name), chat(), DONE).first_at_s == 2.0


def test_completions_have_their_text_elsewhere() -> None:
    event = {"choices": [{"index": 0, "text": " word", "finish_reason": None}]}
    last = {"choices": [{"index": 0, "text": "", "finish_reason": "length"}]}
    answer = heard(event, event, last, usage(), DONE)
    assert (answer.first_at_s, answer.last_at_s, answer.finish) == (1.0, 3.0, "length")


def test_the_servers_own_count_of_tokens_is_believed() -> None:
    answer = heard(chat(), chat(finish="stop"), usage(prompt=9, output=5), DONE)
    assert (answer.prompt_tokens, answer.output_tokens) == (9, 5)


def test_without_usage_the_events_are_counted() -> None:
    assert heard(chat(), chat(), chat(finish="stop"), DONE).output_tokens == 3


def test_usage_beside_the_last_token_is_found() -> None:
    last = chat(finish="stop") | {"usage": {"prompt_tokens": 1, "completion_tokens": 40}}
    assert heard(chat(), last).output_tokens == 40


def test_cached_tokens_are_read() -> None:
    event = usage()
    event["usage"]["prompt_tokens_details"] = {"cached_tokens": 64}
    assert heard(chat(finish="stop"), event, DONE).cached_tokens == 64


def test_an_answer_without_text_has_its_end_as_its_first_token() -> None:
    answer = heard(chat(""), chat("", finish="stop"), usage(output=1), DONE)
    assert answer.first_at_s == answer.last_at_s == 2.0
    assert answer.complete


def test_an_error_in_the_middle_is_no_complete_answer() -> None:
    answer = heard(chat(), chat(), {"error": {"message": "boom", "code": "engine_died"}}, DONE)
    assert not answer.complete
    assert answer.error == "engine_died"
    assert answer.output_tokens == 2


def test_a_stream_that_just_ends_is_not_complete() -> None:
    assert not heard(chat(), chat()).complete
    assert not heard().complete


def test_a_finish_reason_is_an_end_also_without_done() -> None:
    assert heard(chat(), chat(finish="length")).complete


def test_json_with_spaces_is_read_alike() -> None:
    events = (chat(""), chat(), chat(), chat(finish="stop"), usage())
    assert heard(*events, spaced=True) == heard(*events)


def test_comments_and_other_fields_of_a_stream_are_passed_over() -> None:
    answer = heard(b": keep-alive\n", b"event: x\n", b"id: 4\n", chat(), chat(finish="stop"))
    assert (answer.first_at_s, answer.output_tokens) == (4.0, 2)


def test_what_is_no_event_is_said() -> None:
    answer = heard(chat(), b"data: {not json\n", chat(finish="stop"), DONE)
    assert (answer.error, answer.said, answer.complete) == ("not_json", "{not json", False)
    assert answer.output_tokens == 2


@given(st.lists(st.text(min_size=1), min_size=1, max_size=20))
def test_whatever_the_text_every_token_is_counted_once(texts: list[str]) -> None:
    """Texts hold quotation marks, braces and the very keys that the reader looks for."""
    nasty = [f'{text}"choices":[{{"error": [DONE]' for text in texts]
    answer = heard(chat(""), *map(chat, nasty), chat("", finish="stop"))
    assert answer.output_tokens == len(texts) + 1
    assert answer.error is None
    assert answer.finish == "stop"
