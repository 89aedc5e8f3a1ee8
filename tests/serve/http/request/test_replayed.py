"""Answers that clients send back as history, and the nulls in them."""

import json
from typing import Any

import pytest

from serve.http.request.replayed import complete
from tests.fakes import house

TEXT = {"type": "output_text", "text": "hi", "annotations": [], "logprobs": None}


@pytest.mark.parametrize(
    ("item", "becomes"),
    [
        (
            {"role": "assistant", "content": [TEXT]},
            {
                "type": "message",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "hi", "annotations": []}],
            },
        ),
        (
            {"role": "user", "content": "hi", "type": None, "id": None, "status": None},
            {"role": "user", "content": "hi", "type": "message"},
        ),
        (
            {"type": "reasoning", "id": "rs_1", "summary": [], "content": None, "status": None},
            {"type": "reasoning", "id": "rs_1", "summary": []},
        ),
        (
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "null", "id": None},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "null"},
        ),
        ({"type": "function_call_output", "call_id": "c", "output": "x"}, None),
        ({"type": "item_reference", "id": "msg_1"}, None),
        ({"content": "no role"}, None),
        ("text", None),
    ],
)
def test_an_item_becomes_what_vllm_takes(item: Any, becomes: Any) -> None:
    body = {"model": "m", "input": [item]}
    assert complete(body, "/v1/responses") is (becomes is not None)
    assert body["input"] == [becomes or item]


@pytest.mark.parametrize("given", ["hi", {"role": "user"}, 7, [], [None], [["x", None]]])
def test_what_is_no_list_of_items_is_left_to_vllm(given: Any) -> None:
    body = {"input": given}
    before = json.dumps(body)
    complete(body, "/v1/responses")
    assert json.dumps(body) == before


def test_nulls_deep_inside_other_bodies_stay() -> None:
    """A template's arguments or a schema may mean them."""
    body = {"messages": [{"role": "user", "content": None}], "chat_template_kwargs": {"a": None}}
    assert complete(body, "/v1/chat/completions") is False


async def test_the_app_sees_the_completed_items() -> None:
    at = house()
    await at.ask("/v1/responses", {"model": "m", "input": [{"role": "user", "content": "x"}]})
    assert json.loads(at.app.bodies[0])["input"][0]["type"] == "message"
