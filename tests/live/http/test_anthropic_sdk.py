"""Anthropic's own SDK on /v1/messages: answers, streams, and errors as its own exceptions."""

from collections.abc import Iterator
from typing import Any

import anthropic
import jsonschema
import pytest

from tests.live.ask import GONE_S, nothing_held, state_of
from tests.live.clients import MODEL, anthropic_of, async_anthropic_of
from tests.live.gateway import Gateway, wait_until

MESSAGES: Any = [{"role": "user", "content": "Name three colours of the rainbow."}]
GREEDY: dict[str, Any] = {  # the SDK has no temperature of its own any more
    "model": MODEL,
    "messages": MESSAGES,
    "extra_body": {"temperature": 0},
}


@pytest.fixture
def client(gateway: Gateway) -> Iterator[anthropic.Anthropic]:
    """The sync SDK."""
    with anthropic_of(gateway) as client:
        yield client


def text_of(message: anthropic.types.Message) -> str:
    """Of a message with text only."""
    (block,) = message.content
    assert block.type == "text"
    return block.text


def test_a_message_has_text_usage_and_a_reason_to_end(client: anthropic.Anthropic) -> None:
    message = client.messages.create(max_tokens=8, **GREEDY)
    assert message.role == "assistant"
    assert message.model == MODEL
    assert text_of(message)
    assert message.stop_reason == "max_tokens"
    assert message.usage.output_tokens == 8
    assert message.usage.input_tokens > 8


def test_a_stream_adds_up_to_the_same_message(client: anthropic.Anthropic) -> None:
    whole = client.messages.create(max_tokens=8, **GREEDY)
    with client.messages.stream(max_tokens=8, **GREEDY) as stream:
        kinds = [event.type for event in stream]
        streamed = stream.get_final_message()
    assert text_of(streamed) == text_of(whole)
    assert streamed.stop_reason == whole.stop_reason
    assert streamed.usage.output_tokens == whole.usage.output_tokens
    assert (kinds[0], kinds[-1]) == ("message_start", "message_stop")
    assert kinds.count("content_block_start") == kinds.count("content_block_stop") == 1


async def test_the_async_sdk_hears_the_same(gateway: Gateway, client: anthropic.Anthropic) -> None:
    whole = client.messages.create(max_tokens=8, **GREEDY)
    async with async_anthropic_of(gateway) as other:
        message = await other.messages.create(max_tokens=8, **GREEDY)
        async with other.messages.stream(max_tokens=8, **GREEDY) as stream:
            text = "".join([piece async for piece in stream.text_stream])
    assert text_of(message) == text == text_of(whole)


def test_a_system_prompt_is_part_of_the_prompt(client: anthropic.Anthropic) -> None:
    system = "You answer in one word. " * 4
    plain = client.messages.create(max_tokens=1, **GREEDY)
    as_text = client.messages.create(max_tokens=1, system=system, **GREEDY)
    as_blocks = client.messages.create(
        max_tokens=1, system=[{"type": "text", "text": system}], **GREEDY
    )
    assert as_text.usage.input_tokens > plain.usage.input_tokens
    assert as_blocks.usage.input_tokens == as_text.usage.input_tokens


def test_a_stop_sequence_ends_the_message_and_is_named(client: anthropic.Anthropic) -> None:
    whole = text_of(client.messages.create(max_tokens=12, **GREEDY))
    stop = whole.split()[2]
    message = client.messages.create(max_tokens=12, stop_sequences=[stop], **GREEDY)
    assert text_of(message) == whole[: whole.index(stop)]
    assert message.stop_reason == "stop_sequence"
    assert message.stop_sequence == stop


@pytest.mark.parametrize("said", [{}, {"strict": True}], ids=["loose", "strict"])
def test_a_tool_that_must_be_used_is_used_as_its_schema_says(
    client: anthropic.Anthropic, said: dict[str, bool]
) -> None:
    schema = {
        "type": "object",
        "properties": {"city": {"enum": ["Paris", "Rome"]}},
        "required": ["city"],
        "additionalProperties": False,
    }
    tool: Any = {"name": "forecast", "input_schema": schema, **said}
    message = client.messages.create(
        max_tokens=80, tools=[tool], tool_choice={"type": "tool", "name": "forecast"}, **GREEDY
    )
    (used,) = [block for block in message.content if block.type == "tool_use"]
    assert used.name == "forecast"
    jsonschema.validate(used.input, schema)


def test_an_unknown_model_is_not_found(client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError) as failure:
        client.messages.create(model="gpt-9", max_tokens=1, messages=MESSAGES)
    assert failure.value.type == "not_found_error"
    assert "gpt-9" in failure.value.message


@pytest.mark.parametrize("stream", [False, True])
def test_a_negative_max_tokens_is_a_bad_request(client: anthropic.Anthropic, stream: bool) -> None:
    with pytest.raises(anthropic.BadRequestError) as failure:
        client.messages.create(max_tokens=-1, stream=stream, **GREEDY)
    assert failure.value.type == "invalid_request_error"


def test_a_prompt_over_the_limit_is_a_bad_request(client: anthropic.Anthropic) -> None:
    long: Any = [{"role": "user", "content": "word " * 9000}]
    with pytest.raises(anthropic.BadRequestError) as failure:
        client.messages.create(model=MODEL, max_tokens=1, messages=long)
    assert failure.value.type == "invalid_request_error"
    assert "8192" in failure.value.message


def test_what_is_not_served_is_not_found_in_the_same_words(client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError) as failure:
        client.messages.batches.list()
    assert failure.value.type == "not_found_error"


TOOL: Any = {
    "name": "get_weather",
    "description": "Weather of a city",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"system": "Be brief."},
        {"tools": [TOOL]},
        {"tools": [TOOL], "tool_choice": {"type": "any"}},
        {"thinking": {"type": "disabled"}},
        {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}},
    ],
    ids=["plain", "system", "tools", "forced tool", "thinking", "form"],
)
def test_tokens_are_counted_as_usage_counts_them_and_nothing_runs(
    gateway: Gateway, client: anthropic.Anthropic, more: dict[str, Any]
) -> None:
    wait_until(lambda: nothing_held(gateway), within_s=GONE_S)  # of the test before
    before = state_of(gateway)["prefix_cache"]
    counted = client.messages.count_tokens(model=MODEL, messages=MESSAGES, **more)
    assert state_of(gateway)["prefix_cache"] == before
    assert nothing_held(gateway)
    usage = client.messages.create(max_tokens=1, **GREEDY, **more).usage
    assert counted.input_tokens == usage.input_tokens + (usage.cache_read_input_tokens or 0)


def test_tokens_of_an_unknown_model_or_a_bad_body_are_not_counted(
    client: anthropic.Anthropic,
) -> None:
    with pytest.raises(anthropic.NotFoundError):
        client.messages.count_tokens(model="nope", messages=MESSAGES)
    with pytest.raises(anthropic.BadRequestError):
        client.messages.count_tokens(model=MODEL, messages="no list")  # type: ignore[arg-type]


def test_models_are_told_in_anthropics_shape(client: anthropic.Anthropic) -> None:
    (listed,) = client.models.list()
    one = client.models.retrieve(MODEL)
    for model in (listed, one):
        assert (model.id, model.type, model.display_name) == (MODEL, "model", MODEL)
    with pytest.raises(anthropic.NotFoundError):
        client.models.retrieve("org/unknown")


def test_a_message_has_an_id_of_a_message(client: anthropic.Anthropic) -> None:
    assert client.messages.create(max_tokens=1, **GREEDY).id.startswith("msg_")
    with client.messages.stream(max_tokens=2, **GREEDY) as stream:
        started = next(event for event in stream if event.type == "message_start")
        assert started.message.id.startswith("msg_")
        assert stream.get_final_message().id == started.message.id


def test_afterwards_nothing_is_held(gateway: Gateway, client: anthropic.Anthropic) -> None:
    answer = client.messages.with_raw_response.create(max_tokens=1, **GREEDY)
    assert answer.headers["x-request-id"]
    wait_until(lambda: nothing_held(gateway), within_s=GONE_S)
