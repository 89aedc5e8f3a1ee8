"""Corrects what clients would misunderstand in vLLM's answers.

- `/v1/messages`: the id is of the chat completion behind it; clients know messages by `msg_`.
- `/v1/messages`: a tool's input that the model did not write as a JSON object becomes a 400 on
  replay. It is sent as `{"INVALID_JSON": text}`, as Anthropic's pages on fine-grained tool
  streaming suggest, so the caller's tool refuses it and can report this to the model.
- `/v1/completions`: an echo without a completion computes one unseen token, and counts it.
"""

import json
from collections.abc import AsyncIterator
from typing import Any

from starlette.datastructures import State
from vllm.entrypoints.anthropic.protocol import AnthropicMessagesResponse

_CHAT_ID, _MESSAGE_ID = "chatcmpl-", "msg_"
_DATA = "data: "


def install(state: State) -> None:
    """Wraps vLLM's serving objects, each on the instance, and corrects the ids of messages."""
    name_messages()
    messages, completion = state.anthropic_serving_messages, state.openai_serving_completion
    messages.messages_full_converter = _with_objects(messages.messages_full_converter)
    completion.request_output_to_completion_response = _uncounted(
        completion.request_output_to_completion_response
    )
    completion.completion_stream_generator = _uncounted_stream(
        completion.completion_stream_generator
    )


def name_messages() -> None:
    """Changes AnthropicMessagesResponse, which is in whole answers and in `message_start`."""
    after = AnthropicMessagesResponse.model_post_init
    if getattr(after, "_sluice_names", False):
        return

    def model_post_init(self: Any, context: Any) -> None:
        if self.id.startswith(_CHAT_ID):
            self.id = _MESSAGE_ID + self.id.removeprefix(_CHAT_ID)
        after(self, context)

    model_post_init._sluice_names = True  # type: ignore[attr-defined]  # noqa: SLF001
    AnthropicMessagesResponse.model_post_init = model_post_init


def as_object(arguments: str) -> str:
    """A call's arguments as the JSON object that clients expect."""
    try:
        written = json.loads(arguments or "{}")
    except ValueError:
        written = None
    if isinstance(written, dict):
        return arguments or "{}"
    return json.dumps({"INVALID_JSON": arguments})


def _with_objects(convert: Any) -> Any:
    def messages_full_converter(generator: Any) -> Any:
        for call in generator.choices[0].message.tool_calls:
            call.function.arguments = as_object(call.function.arguments)
        return convert(generator)

    return messages_full_converter


def _echoes_only(request: Any) -> bool:
    return bool(request.echo) and request.max_tokens == 0


def _uncounted(tell: Any) -> Any:
    def request_output_to_completion_response(batch: Any, request: Any, *args: Any) -> Any:
        answer = tell(batch, request, *args)
        if _echoes_only(request):
            answer.usage.completion_tokens = 0
            answer.usage.total_tokens = answer.usage.prompt_tokens
        return answer

    return request_output_to_completion_response


def _uncounted_stream(stream: Any) -> Any:
    def completion_stream_generator(request: Any, *args: Any, **kwargs: Any) -> Any:
        chunks = stream(request, *args, **kwargs)
        return _without_tokens(chunks) if _echoes_only(request) else chunks

    return completion_stream_generator


async def _without_tokens(chunks: AsyncIterator[str]) -> AsyncIterator[str]:
    async for chunk in chunks:
        if '"usage":{' not in chunk:
            yield chunk
            continue
        told = json.loads(chunk.removeprefix(_DATA))
        usage = told["usage"]
        usage["completion_tokens"], usage["total_tokens"] = 0, usage["prompt_tokens"]
        yield f"{_DATA}{json.dumps(told, separators=(',', ':'), ensure_ascii=False)}\n\n"
