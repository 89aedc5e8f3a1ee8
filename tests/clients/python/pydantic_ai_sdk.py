"""Pydantic AI's Agent."""

import asyncio
from typing import Any, Literal

import cases
import openai
from cases import case
from pydantic import BaseModel
from pydantic_ai import Agent, ModelHTTPError, NativeOutput, ToolOutput
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider


class Forecast(BaseModel):
    """The weather of a city."""

    city: Literal["Paris", "Rome"]
    days: int


def agent(
    max_tokens: int = cases.TOKENS,
    key: str = cases.KEY,
    retries: int = 0,
    output: Any = str,
    **settings: Any,
) -> Agent[None, Any]:
    """As a user would make it."""
    sdk = openai.AsyncOpenAI(
        base_url=f"{cases.URL}/v1", api_key=key, max_retries=retries, timeout=cases.TIMEOUT_S
    )
    model = OpenAIChatModel(cases.MODEL, provider=OpenAIProvider(openai_client=sdk))
    asked: Any = {"temperature": 0, "max_tokens": max_tokens, **settings}
    return Agent(model, output_type=output, model_settings=asked, retries=0)


@case
def plain() -> str:
    return agent().run_sync(cases.QUESTION).output


@case
def stream() -> list[str]:
    async def read() -> list[str]:
        async with agent().run_stream(cases.QUESTION) as result:
            return [piece async for piece in result.stream_text(delta=True, debounce_by=None)]

    return asyncio.run(read())


@case
def usage() -> int:
    async def read() -> int:
        async with agent().run_stream(cases.QUESTION) as result:
            await result.get_output()
            return result.usage.output_tokens

    return asyncio.run(read())


@case
def tool() -> Any:
    calling = agent(cases.FORM_TOKENS, output=ToolOutput(Forecast))
    return calling.run_sync(cases.QUESTION).output.model_dump()


@case
def structured() -> Any:
    held = agent(cases.FORM_TOKENS, output=NativeOutput(Forecast))
    return held.run_sync(cases.QUESTION).output.model_dump()


@case
def refused() -> str:
    hopeless = agent(retries=cases.RETRIES, extra_headers=cases.HOPELESS)
    return cases.raised(ModelHTTPError, lambda: hopeless.run_sync(cases.QUESTION), status=429)


@case
def wrong_key() -> str:
    stranger = agent(key=cases.WRONG_KEY)
    return cases.raised(ModelHTTPError, lambda: stranger.run_sync(cases.QUESTION), status=401)


@case
def abort() -> int:
    async def read() -> int:
        endless = agent(cases.ENDLESS_TOKENS, extra_body={"ignore_eos": True})
        async with endless.run_stream(cases.QUESTION) as result:
            count = 0
            async for _ in result.stream_text(delta=True, debounce_by=None):
                count += 1
                if count == cases.LEFT_AFTER:
                    break
            return count

    return asyncio.run(read())


cases.run()
