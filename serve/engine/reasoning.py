"""Reasoning text under both names: `reasoning`, vLLM's, and `reasoning_content`, older clients'.

The second name is added where vLLM serialises its own message classes, so no chunk is parsed
again. Only when a reasoning parser is configured.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pydantic import BaseModel
from vllm.entrypoints.generate.base.protocol import DeltaMessage
from vllm.entrypoints.openai.chat_completion.protocol import (
    ChatCompletionResponse,
    ChatCompletionResponseChoice,
    ChatCompletionResponseStreamChoice,
    ChatCompletionStreamResponse,
    ChatMessage,
)


def add_second_name() -> None:
    """Changes the message classes and rebuilds those that contain them. Idempotent."""
    for message in (DeltaMessage, ChatMessage):
        if getattr(message, "_sluice_both_names", False):
            return
        serializers = message.__pydantic_decorators__.model_serializers
        for name, decorator in serializers.items():
            serializers[name] = replace(decorator, func=_with_both_names(decorator.func))
        message._sluice_both_names = True  # noqa: SLF001
        message.model_rebuild(force=True)
    containers: tuple[type[BaseModel], ...] = (
        ChatCompletionResponseStreamChoice,
        ChatCompletionStreamResponse,
        ChatCompletionResponseChoice,
        ChatCompletionResponse,
    )
    for container in containers:
        container.model_rebuild(force=True)


def _with_both_names(serialize: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    def both(self: Any, handler: Any) -> dict[str, Any]:
        fields = serialize(self, handler)
        if "reasoning" in fields:
            fields["reasoning_content"] = fields["reasoning"]
        return fields

    return both
