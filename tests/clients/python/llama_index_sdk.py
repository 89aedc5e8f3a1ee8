"""LlamaIndex's OpenAILike."""

from typing import Any, Literal

import cases
import openai
from cases import case
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike
from pydantic import BaseModel

QUESTION = [ChatMessage(role="user", content=cases.QUESTION)]


class Forecast(BaseModel):
    """The weather of a city."""

    city: Literal["Paris", "Rome"]
    days: int


def forecast(city: Literal["Paris", "Rome"], days: int) -> str:
    """The weather of a city."""
    return f"sunny in {city} for {days} days"


def model(
    max_tokens: int = cases.TOKENS, key: str = cases.KEY, retries: int = 0, **options: Any
) -> OpenAILike:
    """As a user would make it."""
    return OpenAILike(
        model=cases.MODEL,
        api_base=f"{cases.URL}/v1",
        api_key=key,
        is_chat_model=True,
        is_function_calling_model=True,
        temperature=0,
        max_tokens=max_tokens,
        max_retries=retries,
        timeout=cases.TIMEOUT_S,
        **options,
    )


@case
def plain() -> str | None:
    return model().chat(QUESTION).message.content


@case
def stream() -> list[str]:
    return [piece.delta for piece in model().stream_chat(QUESTION) if piece.delta]


@case
def usage() -> int:
    asked = model(additional_kwargs={"stream_options": {"include_usage": True}})
    told = [piece.raw.usage for piece in asked.stream_chat(QUESTION) if piece.raw.usage]
    return told[-1].completion_tokens


@case
def tool() -> Any:
    answer = model(cases.FORM_TOKENS).chat_with_tools(
        [FunctionTool.from_defaults(forecast)], chat_history=QUESTION, tool_required=True
    )
    (call, *_) = model().get_tool_calls_from_response(answer)
    return call.tool_kwargs


@case
def structured() -> Any:
    held = model(cases.FORM_TOKENS, should_use_structured_outputs=True)
    return held.as_structured_llm(Forecast).chat(QUESTION).raw.model_dump()


@case
def refused() -> str:
    hopeless = model(retries=cases.RETRIES, default_headers=cases.HOPELESS)
    return cases.raised(openai.RateLimitError, lambda: hopeless.chat(QUESTION))


@case
def wrong_key() -> str:
    return cases.raised(
        openai.AuthenticationError, lambda: model(key=cases.WRONG_KEY).chat(QUESTION)
    )


@case
def abort() -> int:
    endless = model(cases.ENDLESS_TOKENS, additional_kwargs={"extra_body": {"ignore_eos": True}})
    pieces = endless.stream_chat(QUESTION)
    left = cases.leave(pieces)
    pieces.close()
    return left


cases.run()
