"""What we change of what vLLM tells, and of what it is sent, held against the vLLM installed.

No engine runs. When one of these fails after an upgrade, look whether vLLM now does by itself
what `serve/engine/answer_fixes.py` or `ignored.py` and `replayed.py` in `serve/http/request/` do.
"""

import asyncio
import inspect
import json
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from serve.http.request.ignored import FORMS
from serve.http.request.replayed import complete

# torch and vLLM warn while they are imported, which happens inside the tests: it takes seconds
pytestmark = pytest.mark.filterwarnings("ignore")

CHAT, COMPLETIONS, RESPONSES, MESSAGES = FORMS


def test_the_methods_that_are_wrapped_take_what_is_handed_on() -> None:
    from vllm.entrypoints.anthropic.serving import AnthropicServingMessages  # noqa: PLC0415
    from vllm.entrypoints.openai.completion.serving import OpenAIServingCompletion  # noqa: PLC0415

    def parameters(function: Any) -> list[str]:
        return list(inspect.signature(function).parameters)

    assert parameters(AnthropicServingMessages.messages_full_converter) == ["self", "generator"]
    whole = parameters(OpenAIServingCompletion.request_output_to_completion_response)
    assert whole[1:3] == ["final_res_batch", "request"]
    stream = parameters(OpenAIServingCompletion.completion_stream_generator)
    assert stream[1] == "request"
    source = inspect.getsource(OpenAIServingCompletion)
    assert "self.request_output_to_completion_response(" in source
    assert "return self.completion_stream_generator(" in source
    source = inspect.getsource(AnthropicServingMessages)
    assert "self.messages_full_converter(" in source
    assert source.count("AnthropicMessagesResponse(") == 2, "an answer of another make has its id"


@pytest.mark.parametrize("given", ["chatcmpl-a-b", "msg_1"])
def test_messages_are_named_as_such(given: str) -> None:
    from vllm.entrypoints.anthropic import protocol  # noqa: PLC0415

    from serve.engine.answer_fixes import name_messages  # noqa: PLC0415

    name_messages()
    name_messages()
    message = protocol.AnthropicMessagesResponse(id=given, content=[], model="m")
    assert message.id == ("msg_a-b" if given.startswith("chat") else given)
    event = protocol.AnthropicStreamEvent(type="message_start", message=message)
    told = json.loads(event.model_dump_json(exclude_unset=True))
    assert told["message"]["id"] == message.id


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ('{"city": "Paris"}', {"city": "Paris"}),
        ("{}", {}),
        ("", {}),
        ('"Paris"', {"INVALID_JSON": '"Paris"'}),
        ('["Paris"]', {"INVALID_JSON": '["Paris"]'}),
        ("null", {"INVALID_JSON": "null"}),
        ("7", {"INVALID_JSON": "7"}),
        ('{"city": "Par', {"INVALID_JSON": '{"city": "Par'}),
        ("get_weather(Paris)", {"INVALID_JSON": "get_weather(Paris)"}),
    ],
)
def test_what_a_model_wrote_for_a_tool_is_always_an_object(written: str, told: Any) -> None:
    from vllm.entrypoints.anthropic.serving import AnthropicServingMessages  # noqa: PLC0415

    from serve.engine.answer_fixes import _with_objects  # noqa: PLC0415

    call = SimpleNamespace(id="c", function=SimpleNamespace(name="f", arguments=written))
    message = SimpleNamespace(tool_calls=[call], reasoning=None, content=None)
    choice = SimpleNamespace(message=message, finish_reason="stop", stop_reason=None)
    completion = SimpleNamespace(
        id="chatcmpl-1",
        model="m",
        usage=None,
        choices=[choice],
        kv_transfer_params=None,
        ec_transfer_params=None,
    )
    plain = AnthropicServingMessages.messages_full_converter
    answer = _with_objects(lambda generator: plain(None, generator))(completion)
    (block,) = answer.content
    assert (block.type, block.input) == ("tool_use", told)
    assert answer.stop_reason == "tool_use"


def test_a_stream_s_usage_of_an_echo_counts_no_answer() -> None:
    from serve.engine.answer_fixes import _without_tokens  # noqa: PLC0415

    usage = '"usage":{"prompt_tokens":6,"total_tokens":7,"completion_tokens":1}'

    async def chunks() -> AsyncIterator[str]:
        yield 'data: {"choices":[{"text":"é"}]}\n\n'
        yield f'data: {{"choices":[{{"text":"é"}}],{usage}}}\n\n'
        yield "data: [DONE]\n\n"

    async def all_of() -> list[str]:
        return [chunk async for chunk in _without_tokens(chunks())]

    plain, counted, last = asyncio.run(all_of())
    assert plain == 'data: {"choices":[{"text":"é"}]}\n\n'
    assert last == "data: [DONE]\n\n"
    assert counted.endswith("}\n\n")
    assert json.loads(counted[6:])["usage"] == {
        "prompt_tokens": 6,
        "total_tokens": 6,
        "completion_tokens": 0,
    }


@pytest.mark.parametrize("route", FORMS)
def test_what_is_refused_as_ignored_is_no_field_of_the_route(route: str) -> None:
    from serve.engine.explain import PARSERS  # noqa: PLC0415

    model = PARSERS[route]._type
    names = set(model.model_fields)
    names |= {field.alias for field in model.model_fields.values() if field.alias}
    assert not names & set(FORMS[route]), "vLLM knows it now, and request/ignored.py refuses it"


ANSWERED = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "status": "completed",
    "content": [{"type": "output_text", "text": "hi", "annotations": [], "logprobs": None}],
    "phase": None,
}


@pytest.mark.parametrize(
    "item",
    [
        ANSWERED,
        {name: value for name, value in ANSWERED.items() if name != "type"},
        {"role": "assistant", "content": ANSWERED["content"]},
        {"role": "assistant", "content": [{"type": "output_text", "text": "hi"}]},
        {"role": "assistant", "content": "hi"},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
        {"role": "user", "content": [{"type": "input_text", "text": "hi"}]},
        {"role": "user", "content": "hi", "type": None},
        {"role": "developer", "content": "hi"},
        {"role": "system", "content": [{"type": "input_text", "text": "hi"}], "id": None},
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [],
            "content": [{"type": "reasoning_text", "text": "so"}],
            "encrypted_content": None,
            "status": None,
        },
        {"type": "reasoning", "summary": [], "id": None},
        {
            "type": "function_call",
            "id": None,
            "call_id": "c",
            "name": "f",
            "arguments": "{}",
            "status": None,
            "namespace": None,
        },
        {"type": "function_call_output", "call_id": "c", "output": "ok", "id": None},
    ],
)
def test_items_as_sdks_send_them_back_are_taken(item: dict[str, Any]) -> None:
    from serve.engine.explain import fault_in  # noqa: PLC0415

    body = {"model": "m", "input": [{"role": "user", "content": "x"}, item]}
    complete(body, RESPONSES)
    assert fault_in(RESPONSES, body) is None
