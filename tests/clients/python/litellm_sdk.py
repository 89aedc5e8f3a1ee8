"""LiteLLM, as `hosted_vllm/MODEL`."""

from typing import Any, Literal

import cases
import litellm
from cases import case
from pydantic import BaseModel

litellm.suppress_debug_info = True
TOOL: Any = {"type": "function", "function": {"name": "forecast", "parameters": cases.FORECAST}}


class Forecast(BaseModel):
    """As a user would write it."""

    city: Literal["Paris", "Rome"]
    days: int


def ask(max_tokens: int, key: str = cases.KEY, retries: int = 0, **fields: Any) -> Any:
    """As a user would call it."""
    return litellm.completion(
        model=f"hosted_vllm/{cases.MODEL}",
        api_base=f"{cases.URL}/v1",
        api_key=key,
        num_retries=retries,
        timeout=cases.TIMEOUT_S,
        messages=[{"role": "user", "content": cases.QUESTION}],
        temperature=0,
        max_tokens=max_tokens,
        **fields,
    )


@case
def plain() -> str:
    return ask(cases.TOKENS).choices[0].message.content


@case
def stream() -> list[str]:
    chunks = ask(cases.TOKENS, stream=True)
    return [text for chunk in chunks if (text := chunk.choices[0].delta.content)]


@case
def usage() -> int:
    chunks = ask(cases.TOKENS, stream=True, stream_options={"include_usage": True})
    told = [chunk.usage for chunk in chunks if getattr(chunk, "usage", None)]
    return told[-1].completion_tokens


@case
def tool() -> Any:
    answer = ask(cases.FORM_TOKENS, tools=[TOOL], tool_choice="required")
    return cases.parsed(answer.choices[0].message.tool_calls[0].function.arguments)


@case
def structured() -> Any:
    answer = ask(cases.FORM_TOKENS, response_format=Forecast)
    return Forecast.model_validate_json(answer.choices[0].message.content).model_dump()


@case
def refused() -> str:
    return cases.raised(
        litellm.RateLimitError,
        lambda: ask(1, retries=cases.RETRIES, extra_headers=cases.HOPELESS),
    )


@case
def wrong_key() -> str:
    return cases.raised(litellm.AuthenticationError, lambda: ask(1, key=cases.WRONG_KEY))


@case
def abort() -> int:
    chunks = ask(cases.ENDLESS_TOKENS, stream=True, extra_body={"ignore_eos": True})
    left = cases.leave(chunks)
    del chunks  # it has no close of its own
    return left


cases.run()
