"""Instructor over OpenAI's SDK."""

from collections.abc import Callable
from typing import Any, Literal

import cases
import instructor
import openai
from cases import case
from instructor.core import InstructorRetryException
from pydantic import BaseModel

ASKED: dict[str, Any] = {
    "model": cases.MODEL,
    "messages": [{"role": "user", "content": cases.QUESTION}],
    "temperature": 0,
    "max_tokens": cases.FORM_TOKENS,
    "max_retries": 1,  # attempts of Instructor's own
}


class Forecast(BaseModel):
    """The weather of a city."""

    city: Literal["Paris", "Rome"]
    days: int


def client(
    mode: instructor.Mode, key: str = cases.KEY, retries: int = 0, **options: Any
) -> instructor.Instructor:
    """As a user would make it."""
    sdk = openai.OpenAI(
        base_url=f"{cases.URL}/v1",
        api_key=key,
        max_retries=retries,
        timeout=cases.TIMEOUT_S,
        **options,
    )
    return instructor.from_openai(sdk, mode=mode)


def cause_of(create: Callable[..., Any]) -> Any:
    """Asks, and raises what Instructor's exception stands for."""
    try:
        return create(**ASKED, response_model=Forecast)
    except InstructorRetryException as error:
        raise (error.__cause__ or error).__cause__ or error.__cause__ or error from error


@case
def plain() -> Any:
    made = client(instructor.Mode.JSON_SCHEMA)
    return made.chat.completions.create(**ASKED, response_model=None).choices[0].message.content


@case
def stream() -> list[str]:
    made = client(instructor.Mode.JSON_SCHEMA)
    pieces = made.chat.completions.create_partial(**ASKED, response_model=Forecast)
    return [piece.model_dump_json() for piece in pieces]


@case
def usage() -> int:
    made = client(instructor.Mode.JSON_SCHEMA)
    chunks = made.chat.completions.create(
        **ASKED | {"max_tokens": cases.TOKENS},
        response_model=None,
        stream=True,
        stream_options={"include_usage": True},
    )
    return [chunk.usage for chunk in chunks if chunk.usage][-1].completion_tokens


@case
def tool() -> Any:
    made = client(instructor.Mode.TOOLS)
    return made.chat.completions.create(**ASKED, response_model=Forecast).model_dump()


@case
def structured() -> Any:
    made = client(instructor.Mode.JSON_SCHEMA)
    return made.chat.completions.create(**ASKED, response_model=Forecast).model_dump()


@case
def refused() -> str:
    made = client(instructor.Mode.TOOLS, retries=cases.RETRIES, default_headers=cases.HOPELESS)
    return cases.raised(openai.RateLimitError, lambda: cause_of(made.chat.completions.create))


@case
def wrong_key() -> str:
    made = client(instructor.Mode.TOOLS, cases.WRONG_KEY)
    return cases.raised(openai.AuthenticationError, lambda: cause_of(made.chat.completions.create))


@case
def abort() -> int:
    made = client(instructor.Mode.JSON_SCHEMA)
    with made.chat.completions.create(
        **ASKED | {"max_tokens": cases.ENDLESS_TOKENS},
        response_model=None,
        stream=True,
        extra_body={"ignore_eos": True},
    ) as chunks:
        return cases.leave(chunks)


cases.run()
