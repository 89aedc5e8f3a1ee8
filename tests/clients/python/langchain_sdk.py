"""LangChain's ChatOpenAI."""

from typing import Any, Literal

import cases
import openai
from cases import case
from langchain_openai import ChatOpenAI
from pydantic import BaseModel


class Forecast(BaseModel):
    """The weather of a city."""

    city: Literal["Paris", "Rome"]
    days: int


def chat(
    max_tokens: int = cases.TOKENS, key: str = cases.KEY, retries: int = 0, **options: Any
) -> ChatOpenAI:
    """As a user would make it; without `stream_usage` it asks other endpoints for no usage."""
    return ChatOpenAI(
        model=cases.MODEL,
        base_url=f"{cases.URL}/v1",
        api_key=key,
        temperature=0,
        max_tokens=max_tokens,
        max_retries=retries,
        timeout=cases.TIMEOUT_S,
        stream_usage=True,
        **options,
    )


@case
def plain() -> Any:
    return chat().invoke(cases.QUESTION).content


@case
def stream() -> list[Any]:
    return [chunk.content for chunk in chat().stream(cases.QUESTION) if chunk.content]


@case
def usage() -> int:
    chunks = list(chat().stream(cases.QUESTION))
    return [chunk.usage_metadata for chunk in chunks if chunk.usage_metadata][-1]["output_tokens"]


@case
def tool() -> Any:
    calling = chat(cases.FORM_TOKENS).with_structured_output(Forecast, method="function_calling")
    return calling.invoke(cases.QUESTION).model_dump()


@case
def structured() -> Any:
    held = chat(cases.FORM_TOKENS).with_structured_output(Forecast, method="json_schema")
    return held.invoke(cases.QUESTION).model_dump()


@case
def refused() -> str:
    hopeless = chat(retries=cases.RETRIES, default_headers=cases.HOPELESS)
    return cases.raised(openai.RateLimitError, lambda: hopeless.invoke(cases.QUESTION))


@case
def wrong_key() -> str:
    return cases.raised(
        openai.AuthenticationError, lambda: chat(key=cases.WRONG_KEY).invoke(cases.QUESTION)
    )


@case
def abort() -> int:
    endless = chat(cases.ENDLESS_TOKENS, extra_body={"ignore_eos": True})
    pieces = endless.stream(cases.QUESTION)
    left = cases.leave(pieces)
    pieces.close()
    return left


cases.run()
