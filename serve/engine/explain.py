"""Rendering without running: the shape of a request body, for `/v1/admission/explain`."""

from http import HTTPStatus
from typing import Any

from pydantic import ValidationError
from starlette.datastructures import State
from vllm.entrypoints.anthropic.protocol import AnthropicMessagesRequest
from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
from vllm.entrypoints.openai.completion.protocol import CompletionRequest
from vllm.entrypoints.openai.responses.protocol import ResponsesRequest

from admission.footprint import RequestShape
from serve.engine.hooks import is_error, shape_of, unsupported


async def shape_of_body(state: State, route: str, body: dict[str, Any]) -> RequestShape:
    """Shape of a body as its route would run it. Raises ValueError with vLLM's own words."""
    try:
        serving, render, args = _rendering(state, route, body)
        refusal = unsupported(serving, args[0])
        if refusal:
            raise ValueError(refusal.message)
        rendered = await render.plain(*args)
        if is_error(rendered):
            raise ValueError(rendered.error.message)
        return shape_of(serving, args[0], render.prompts_of(rendered))
    except ValidationError as failure:
        raise ValueError(_first_error(failure)) from failure
    except Exception as fault:
        error = state.openai_serving_chat.create_error_response(fault).error
        if error.code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise  # not the caller's
        raise ValueError(error.message) from fault


def _rendering(state: State, route: str, body: dict[str, Any]) -> tuple[Any, Any, tuple[Any, ...]]:
    if route == "/v1/chat/completions":
        serving = state.openai_serving_chat
        return serving, serving.render_chat_request, (ChatCompletionRequest(**body),)
    if route == "/v1/completions":
        serving = state.openai_serving_completion
        return serving, serving.render_completion_request, (CompletionRequest(**body),)
    if route == "/v1/responses":
        serving = state.openai_serving_responses
        render = serving._render_resolved_response_inputs  # noqa: SLF001 - the hook, see hooks.py
        return serving, render, (ResponsesRequest(**body), None)
    if route == "/v1/messages":
        serving = state.anthropic_serving_messages
        return serving, serving.render_chat_request, (_as_chat(serving, body),)
    raise ValueError(f"{route} is not a generation route")


def _as_chat(serving: Any, body: dict[str, Any]) -> ChatCompletionRequest:
    """As vLLM's route converts it."""
    return serving.to_chat_completion_request(
        AnthropicMessagesRequest(**body),
        merge_inline_system=serving._merge_inline_system,  # noqa: SLF001 - depends on the template
    )


def _first_error(failure: ValidationError) -> str:
    first = failure.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}"
