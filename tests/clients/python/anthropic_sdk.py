"""Anthropic's Python SDK, on /v1/messages."""

from typing import Any, Literal

import anthropic
import cases
from cases import case
from pydantic import BaseModel

ASKED: dict[str, Any] = {
    "model": cases.MODEL,
    "messages": [{"role": "user", "content": cases.QUESTION}],
    "extra_body": {"temperature": 0},  # the SDK has no argument for it
}
TOOL: Any = {"name": "forecast", "input_schema": cases.FORECAST}


class Forecast(BaseModel):
    """As a user would write it."""

    city: Literal["Paris", "Rome"]
    days: int


def client(key: str = cases.KEY, retries: int = 0, **options: Any) -> anthropic.Anthropic:
    """As a user would make it."""
    return anthropic.Anthropic(
        base_url=cases.URL, api_key=key, max_retries=retries, timeout=cases.TIMEOUT_S, **options
    )


@case
def plain() -> str:
    return client().messages.create(**ASKED, max_tokens=cases.TOKENS).content[0].text


@case
def stream() -> list[str]:
    with client().messages.stream(**ASKED, max_tokens=cases.TOKENS) as stream:
        return list(stream.text_stream)


@case
def usage() -> int:
    with client().messages.stream(**ASKED, max_tokens=cases.TOKENS) as stream:
        return stream.get_final_message().usage.output_tokens


@case
def tool() -> Any:
    message = client().messages.create(
        **ASKED, max_tokens=cases.FORM_TOKENS, tools=[TOOL], tool_choice={"type": "any"}
    )
    return next(block.input for block in message.content if block.type == "tool_use")


@case
def structured() -> Any:
    message = client().messages.parse(**ASKED, max_tokens=cases.FORM_TOKENS, output_format=Forecast)
    return message.parsed_output.model_dump()


@case
def refused() -> str:
    hopeless = client(retries=cases.RETRIES, default_headers=cases.HOPELESS)
    return cases.raised(
        anthropic.RateLimitError, lambda: hopeless.messages.create(**ASKED, max_tokens=1)
    )


@case
def wrong_key() -> str:
    return cases.raised(
        anthropic.AuthenticationError,
        lambda: client(cases.WRONG_KEY).messages.create(**ASKED, max_tokens=1),
    )


@case
def abort() -> int:
    endless = ASKED | {"extra_body": {"ignore_eos": True}}
    with client().messages.stream(**endless, max_tokens=cases.ENDLESS_TOKENS) as stream:
        return cases.leave(stream.text_stream)


cases.run()
