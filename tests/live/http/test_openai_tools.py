"""Tools and JSON schemas through OpenAI's SDK: what comes back is what the schema allows.

The model is far too small to decide well, so every test leaves it no choice but the one looked at.
"""

import json
from collections.abc import Iterator
from typing import Any, Literal

import jsonschema
import openai
import pytest
from pydantic import BaseModel

from tests.live.clients import MODEL, openai_of
from tests.live.gateway import Gateway

WEATHER: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"enum": ["Paris", "Rome"]}, "days": {"enum": [1, 2]}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
TOOL: Any = {
    "type": "function",
    "function": {"name": "forecast", "parameters": WEATHER, "strict": True},
}
MESSAGES: Any = [{"role": "user", "content": "What is the weather in Rome tomorrow?"}]
# what most clients send: whether it is strict is not said
LOOSE: Any = {"type": "function", "function": {"name": "forecast", "parameters": WEATHER}}
GREEDY: dict[str, Any] = {"model": MODEL, "temperature": 0}
TOKENS = 80  # the model writes blanks between all things
NAMED: Any = {"type": "function", "function": {"name": "forecast"}}
FORMAT: Any = {
    "type": "json_schema",
    "json_schema": {"name": "weather", "schema": WEATHER, "strict": True},
}


@pytest.fixture
def client(gateway: Gateway) -> Iterator[openai.OpenAI]:
    """The sync SDK."""
    with openai_of(gateway) as client:
        yield client


def arguments_of(call: Any) -> Any:
    """A tool call's arguments, held against the schema."""
    assert call.function.name == "forecast"
    arguments = json.loads(call.function.arguments)
    jsonschema.validate(arguments, WEATHER)
    return arguments


@pytest.mark.parametrize("choice", [NAMED, "required"], ids=["named", "required"])
def test_a_tool_that_must_be_called_is_called_as_its_schema_says(
    client: openai.OpenAI, choice: Any
) -> None:
    answer = client.chat.completions.create(
        messages=MESSAGES, tools=[TOOL], tool_choice=choice, max_tokens=TOKENS, **GREEDY
    )
    (call,) = answer.choices[0].message.tool_calls or ()
    arguments_of(call)


@pytest.mark.parametrize("choice", [NAMED, "required"], ids=["named", "required"])
def test_a_tool_that_is_not_strict_is_called_as_its_schema_says_too(
    client: openai.OpenAI, choice: Any
) -> None:
    answer = client.chat.completions.create(
        messages=MESSAGES,
        tools=[LOOSE],
        tool_choice=choice,
        parallel_tool_calls=False,
        max_tokens=TOKENS,
        **GREEDY,
    )
    (call,) = answer.choices[0].message.tool_calls or ()
    arguments_of(call)


def test_a_tool_without_parameters_is_called_without_arguments(client: openai.OpenAI) -> None:
    tool: Any = {"type": "function", "function": {"name": "forecast"}}
    answer = client.chat.completions.create(
        messages=MESSAGES, tools=[tool], tool_choice=NAMED, max_tokens=TOKENS, **GREEDY
    )
    (call,) = answer.choices[0].message.tool_calls or ()
    assert json.loads(call.function.arguments) == {}


@pytest.mark.parametrize("choice", [NAMED, "required"], ids=["named", "required"])
def test_a_tool_call_arrives_in_pieces_that_add_up(client: openai.OpenAI, choice: Any) -> None:
    with client.chat.completions.stream(
        messages=MESSAGES, tools=[TOOL], tool_choice=choice, max_tokens=TOKENS, **GREEDY
    ) as stream:
        (call,) = stream.get_final_completion().choices[0].message.tool_calls or ()
    arguments_of(call)


def test_the_result_of_a_tool_is_answered_to(client: openai.OpenAI) -> None:
    first = client.chat.completions.create(
        messages=MESSAGES, tools=[TOOL], tool_choice=NAMED, max_tokens=TOKENS, **GREEDY
    )
    message = first.choices[0].message
    (call,) = message.tool_calls or ()
    result: Any = {"role": "tool", "tool_call_id": call.id, "content": "sunny"}
    second = client.chat.completions.create(
        messages=[*MESSAGES, message, result], tools=[TOOL], max_tokens=4, **GREEDY
    )
    assert first.usage is not None
    assert second.usage is not None
    assert second.usage.prompt_tokens > first.usage.prompt_tokens


def test_a_chat_answer_keeps_to_a_json_schema(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        messages=MESSAGES, response_format=FORMAT, max_tokens=TOKENS, **GREEDY
    )
    jsonschema.validate(json.loads(answer.choices[0].message.content or ""), WEATHER)


def test_a_chat_stream_keeps_to_a_json_schema(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(
        messages=MESSAGES, response_format=FORMAT, max_tokens=TOKENS, **GREEDY
    ) as stream:
        content = stream.get_final_completion().choices[0].message.content
    jsonschema.validate(json.loads(content or ""), WEATHER)


class Weather(BaseModel):
    """As a user of the SDK would write it."""

    city: Literal["Paris", "Rome"]
    sunny: bool


def test_the_sdk_parses_an_answer_into_a_model(client: openai.OpenAI) -> None:
    chat = client.chat.completions.parse(
        messages=MESSAGES, response_format=Weather, max_tokens=TOKENS, **GREEDY
    )
    assert isinstance(chat.choices[0].message.parsed, Weather)
    response = client.responses.parse(
        input=MESSAGES, text_format=Weather, max_output_tokens=TOKENS, **GREEDY
    )
    assert isinstance(response.output_parsed, Weather)


def test_responses_call_a_tool_as_its_schema_says(client: openai.OpenAI) -> None:
    tool: Any = {"type": "function", "name": "forecast", "parameters": WEATHER, "strict": False}
    answer = client.responses.create(
        input=MESSAGES, tools=[tool], tool_choice="required", max_output_tokens=TOKENS, **GREEDY
    )
    (call,) = [item for item in answer.output if item.type == "function_call"]
    assert call.name == "forecast"
    jsonschema.validate(json.loads(call.arguments), WEATHER)


def test_a_completion_keeps_to_a_choice(client: openai.OpenAI) -> None:
    answer = client.completions.create(
        model=MODEL,
        prompt="Which city?",
        max_tokens=8,
        extra_body={"structured_outputs": {"choice": ["Paris", "Rome"]}},
    )
    assert answer.choices[0].text in {"Paris", "Rome"}
