"""Forms of answers that no answer can have, and fields that are null: 400 in time, and 200."""

from typing import Any

import pytest

from tests.live.clients import GOOD, Answer, send
from tests.live.gateway import Gateway

CHAT, COMPLETIONS, RESPONSES, MESSAGES = GOOD
OPTIONAL = [
    "truncation",
    "stream",
    "stream_options",
    "stop",
    "stop_sequences",
    "n",
    "tools",
    "tool_choice",
    "temperature",
    "top_p",
    "logprobs",
    "top_logprobs",
    "metadata",
    "service_tier",
    "reasoning",
    "text",
    "store",
    "user",
    "min_tokens",
    "seed",
    "bad_words",
    "ignore_eos",
    "response_format",
    "structured_outputs",
    "thinking",
    "system",
]


def refused(answer: Answer) -> None:
    assert answer.status == 400, answer.body
    assert answer.document["error"]["message"].strip()
    assert "prefill" not in answer.headers["server-timing"], "it ran"


ENDLESS = {"$defs": {"A": {"$ref": "#/$defs/B"}, "B": {"$ref": "#/$defs/A"}}}
LATER = {**ENDLESS, "properties": {"a": {"$ref": "#/$defs/A"}}, "required": ["a"]}


def form(schema: Any) -> dict[str, Any]:
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "x"} | schema}}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("route", "fields"),
    [
        (CHAT, {"structured_outputs": "x"}),
        (COMPLETIONS, {"structured_outputs": [0]}),
        (CHAT, form({"schema": {"$ref": "#"}})),
        (CHAT, form({"schema": {**ENDLESS, "$ref": "#/$defs/A"}})),
        (CHAT, form({"schema": {"type": "object", **LATER}})),
        (CHAT, form({"schema": {"type": "array", "items": {"enum": ["a"]}, "maxItems": 2**63}})),
        (RESPONSES, {"text": {"format": {"type": "json_schema", "name": "x", "schema": LATER}}}),
        (MESSAGES, {"output_config": {"format": {"type": "json_schema", "schema": LATER}}}),
        (COMPLETIONS, {"structured_outputs": {"grammar": 'root ::= "x" b\nb ::= b'}}),
        (COMPLETIONS, {"structured_outputs": {"regex": "(.{1,100}){1,100}"}}),  # 0.3 s a token
        (CHAT, {"structured_outputs": {"choice": ["a"]}, "allowed_token_ids": [1, 2, 3]}),
        (CHAT, {"structured_outputs": {"choice": ["a"]}, "min_tokens": 2}),
        (CHAT, {"structured_outputs": {"regex": "a" * 70_000}}),
        (CHAT, {"structured_outputs": {"regex": "a{9}"}, "repetition_penalty": 1e-300}),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_form_that_no_answer_can_have_is_a_400_before_anything_is_generated(
    gateway: Gateway, route: str, fields: dict[str, Any], stream: bool
) -> None:
    answer = send(gateway, "POST", route, {**GOOD[route], "stream": stream} | fields)
    refused(answer)


DANGLING = {"type": "object", "properties": {"a": {"$ref": "#/$defs/gone"}}}
FORCED = {
    "tools": [{"type": "function", "function": {"name": "f", "parameters": DANGLING}}],
    "tool_choice": {"type": "function", "function": {"name": "f"}},
}


@pytest.mark.parametrize("fields", [form({"schema": DANGLING}), FORCED], ids=["form", "tool"])
def test_a_reference_that_leads_nowhere_is_named(gateway: Gateway, fields: dict[str, Any]) -> None:
    answer = send(gateway, "POST", CHAT, GOOD[CHAT] | fields)
    refused(answer)
    assert "refers to #/$defs/gone, " in answer.document["error"]["message"]


def test_what_cannot_be_a_body_cannot_be_explained_either(gateway: Gateway) -> None:
    path = "/v1/admission/explain"
    for fields in ({"structured_outputs": "x"}, form({"schema": {"$ref": "#"}})):
        refused(send(gateway, "POST", path, {**GOOD[CHAT]} | fields))


@pytest.mark.parametrize("route", list(GOOD))
def test_every_optional_field_may_be_null(gateway: Gateway, route: str) -> None:
    answer = send(gateway, "POST", route, dict.fromkeys(OPTIONAL) | dict(GOOD[route]))
    assert answer.status == 200, answer.body
