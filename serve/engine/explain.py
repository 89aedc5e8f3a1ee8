"""Rendering without running: the shape of a request body, for `/v1/admission/explain`."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from pydantic import TypeAdapter, ValidationError
from starlette.datastructures import State
from vllm.entrypoints.anthropic.protocol import AnthropicMessagesRequest
from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
from vllm.entrypoints.openai.completion.protocol import CompletionRequest
from vllm.entrypoints.openai.responses.protocol import ResponsesRequest
from vllm.entrypoints.serve.tokenize.protocol import DetokenizeRequest, TokenizeRequest
from vllm.exceptions import VLLMError

from admission.price.footprint import RequestShape
from serve.engine.grammars import first_line
from serve.engine.hooks import UnsupportedError, is_error, shape_of, unsupported

_CHAT, _COMPLETIONS = "/v1/chat/completions", "/v1/completions"
_RESPONSES, _MESSAGES = "/v1/responses", "/v1/messages"
PARSERS: dict[str, TypeAdapter[Any]] = {
    _CHAT: TypeAdapter(ChatCompletionRequest),
    _COMPLETIONS: TypeAdapter(CompletionRequest),
    _RESPONSES: TypeAdapter(ResponsesRequest),
    _MESSAGES: TypeAdapter(AnthropicMessagesRequest),
    "/tokenize": TypeAdapter(TokenizeRequest),
    "/detokenize": TypeAdapter(DetokenizeRequest),
}


async def shape_of_body(
    state: State, route: str, body: dict[str, Any], *, waits: Callable[[], None]
) -> RequestShape:
    """Shape of a body as its route would run it; `waits` as of `shape_of`.

    Raises ValueError with vLLM's own words.
    """
    try:
        serving, render, args = _rendering(state, route, body)
        refusal = unsupported(serving, args[0])
        if refusal:
            raise ValueError(refusal.message)
        rendered = await render.plain(*args)
        if is_error(rendered):
            raise ValueError(rendered.error.message)
        return await shape_of(serving, args[0], render.prompts_of(rendered), waits=waits)
    except UnsupportedError as fault:
        raise ValueError(fault.refusal.message) from fault
    except Exception as fault:
        error = state.openai_serving_chat.create_error_response(fault).error
        if error.code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise  # not the caller's mistake
        raise ValueError(error.message) from fault


def fault_in(route: str, body: dict[str, Any]) -> str | None:
    """What vLLM's parser of a route rejects in a body; None if it is valid."""
    if route not in PARSERS:
        return None
    try:
        _parsed(route, body)
    except (ValueError, VLLMError) as fault:
        return first_line(fault)
    return None


def _parsed(route: str, body: dict[str, Any]) -> Any:
    """The request object. Raises ValueError, whatever vLLM's checks raise."""
    try:
        return PARSERS[route].validate_python(body)
    except ValidationError as failure:
        raise ValueError(_first_error(failure)) from failure
    except (VLLMError, MemoryError):
        raise
    except Exception as fault:
        raise ValueError(first_line(fault)) from fault


def _rendering(state: State, route: str, body: dict[str, Any]) -> tuple[Any, Any, tuple[Any, ...]]:
    if route == _CHAT:
        serving = state.openai_serving_chat
        return serving, serving.render_chat_request, (_parsed(route, body),)
    if route == _COMPLETIONS:
        serving = state.openai_serving_completion
        return serving, serving.render_completion_request, (_parsed(route, body),)
    if route == _RESPONSES:
        serving = state.openai_serving_responses
        render = serving._render_resolved_response_inputs  # noqa: SLF001 - the hook, see hooks.py
        return serving, render, (_parsed(route, body), None)
    if route == _MESSAGES:
        serving = state.anthropic_serving_messages
        return serving, serving.render_chat_request, (_as_chat(serving, _parsed(route, body)),)
    raise ValueError(f"{route} is not a generation route")


def _as_chat(serving: Any, request: AnthropicMessagesRequest) -> ChatCompletionRequest:
    """The chat request that vLLM's route converts it to."""
    return serving.to_chat_completion_request(
        request,
        merge_inline_system=serving._merge_inline_system,  # noqa: SLF001 - depends on the template
    )


def _first_error(failure: ValidationError) -> str:
    first = failure.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}"
