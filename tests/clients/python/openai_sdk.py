"""OpenAI's Python SDK."""

from typing import Any, Literal

import cases
import openai
from cases import case
from pydantic import BaseModel

ASKED: dict[str, Any] = {
    "model": cases.MODEL,
    "messages": [{"role": "user", "content": cases.QUESTION}],
    "temperature": 0,
}
TOOL: Any = {"type": "function", "function": {"name": "forecast", "parameters": cases.FORECAST}}


class Forecast(BaseModel):
    """As a user would write it."""

    city: Literal["Paris", "Rome"]
    days: int


def client(key: str = cases.KEY, retries: int = 0) -> openai.OpenAI:
    """As a user would make it."""
    return openai.OpenAI(
        base_url=f"{cases.URL}/v1", api_key=key, max_retries=retries, timeout=cases.TIMEOUT_S
    )


@case
def plain() -> str | None:
    answer = client().chat.completions.create(**ASKED, max_tokens=cases.TOKENS)
    return answer.choices[0].message.content


@case
def stream() -> list[str]:
    chunks = client().chat.completions.create(**ASKED, max_tokens=cases.TOKENS, stream=True)
    return [text for chunk in chunks for c in chunk.choices if (text := c.delta.content)]


@case
def usage() -> int:
    chunks = client().chat.completions.create(
        **ASKED, max_tokens=cases.TOKENS, stream=True, stream_options={"include_usage": True}
    )
    return [chunk.usage for chunk in chunks if chunk.usage][-1].completion_tokens


@case
def tool() -> Any:
    answer = client().chat.completions.create(
        **ASKED, max_tokens=cases.FORM_TOKENS, tools=[TOOL], tool_choice="required"
    )
    (call, *_) = answer.choices[0].message.tool_calls or ()
    return cases.parsed(call.function.arguments)


@case
def structured() -> Any:
    answer = client().chat.completions.parse(
        **ASKED, max_tokens=cases.FORM_TOKENS, response_format=Forecast
    )
    return answer.choices[0].message.parsed.model_dump()


@case
def refused() -> str:
    hopeless = client(retries=cases.RETRIES).with_options(default_headers=cases.HOPELESS)
    return cases.raised(
        openai.RateLimitError, lambda: hopeless.chat.completions.create(**ASKED, max_tokens=1)
    )


@case
def wrong_key() -> str:
    return cases.raised(
        openai.AuthenticationError,
        lambda: client(cases.WRONG_KEY).chat.completions.create(**ASKED, max_tokens=1),
    )


@case
def abort() -> int:
    with client().chat.completions.create(
        **ASKED, max_tokens=cases.ENDLESS_TOKENS, stream=True, extra_body={"ignore_eos": True}
    ) as stream:
        return cases.leave(stream)


cases.run()
