"""The requests that are under way when a fault strikes, and what became of each of them."""

import asyncio
import json
import threading
import time
from dataclasses import dataclass
from enum import StrEnum

import aiohttp

from tests.live.clients import MODEL

REQUESTS = 18  # 9 run, 9 wait: the profile has 9 slots
TOKENS = 300  # at 20 ms a step: 6 s
ALLOWED_S = 20.0  # until the first token
_END_S = 100.0  # deadline, grace and both of the engine's bounds, on a slow machine


class End(StrEnum):
    """How a request ended, as its client sees it."""

    COMPLETE = "complete"
    REFUSED = "refused"  # a status and our JSON
    ERROR_EVENT = "error event"  # in a stream that had begun
    CUT = "cut"  # the connection ended in the middle, or was never accepted
    WRONG = "wrong"  # an answer that no client can read
    ENDLESS = "endless"


@dataclass(slots=True)
class Request:
    """One client; `begun` says whether it had seen a byte when the fault struck."""

    stream: bool
    end: End | None = None
    told: str = ""  # the reason, or what was wrong
    first_byte: bool = False
    begun: bool = False
    ended_at_s: float = 0.0


class Load:
    """18 requests in a thread of their own; 13 of them stream."""

    def __init__(self, url: str, requests: int = REQUESTS) -> None:
        self._url = url
        self.requests = [Request(stream=index % 18 < 13) for index in range(requests)]
        self._thread = threading.Thread(target=lambda: asyncio.run(self._all()), daemon=True)
        self._thread.start()

    def strike(self) -> None:
        """Notes for each request how far it is now."""
        for request in self.requests:
            request.begun = request.first_byte

    def outcomes(self) -> list[Request]:
        """Waits for the end of all."""
        self._thread.join(_END_S + 20.0)
        for request in self.requests:
            request.end = request.end or End.ENDLESS
        return self.requests

    async def _all(self) -> None:
        timeout = aiohttp.ClientTimeout(total=None)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
            await asyncio.gather(*(self._one(session, each) for each in self.requests))

    async def _one(self, session: aiohttp.ClientSession, request: Request) -> None:
        try:
            async with asyncio.timeout(_END_S), self._ask(session, request) as response:
                await _read(response, request)
        except TimeoutError:
            request.end = End.ENDLESS
        except (aiohttp.ClientError, OSError) as error:
            request.end, request.told = End.CUT, type(error).__name__
        request.ended_at_s = time.monotonic()

    def _ask(
        self, session: aiohttp.ClientSession, request: Request
    ) -> "aiohttp.client._RequestContextManager":
        body = {
            "model": MODEL,
            "messages": [{"role": "user", "content": "Tell me a story."}],
            "max_tokens": TOKENS,
            "ignore_eos": True,
            "stream": request.stream,
        }
        headers = {"x-slo-ttft-ms": str(round(ALLOWED_S * 1000))}
        return session.post(f"{self._url}/v1/chat/completions", json=body, headers=headers)


async def _read(response: aiohttp.ClientResponse, request: Request) -> None:
    if response.status != 200:
        await _read_refusal(response, request)
    elif request.stream:
        await _read_stream(response, request)
    else:
        document = json.loads(await response.read())
        whole = document["usage"]["completion_tokens"] == TOKENS
        request.end = End.COMPLETE if whole else End.WRONG


async def _read_refusal(response: aiohttp.ClientResponse, request: Request) -> None:
    text = await response.read()
    try:
        request.told = json.loads(text)["error"]["code"]
        request.end = End.REFUSED
    except (ValueError, KeyError, TypeError):
        request.end, request.told = End.WRONG, f"{response.status} {text[:60]!r}"


async def _read_stream(response: aiohttp.ClientResponse, request: Request) -> None:
    """A stream is complete with `[DONE]` after a finish reason, and failed with an error event."""
    finished = done = False
    async for line in response.content:
        if not line.startswith(b"data: "):
            continue
        request.first_byte = True
        if line.startswith(b"data: [DONE]"):
            done = True
            break
        event = json.loads(line[6:])
        if "error" in event:
            request.end, request.told = End.ERROR_EVENT, str(event["error"]["message"])
            return
        finished = finished or any(each["finish_reason"] for each in event["choices"])
    request.end = End.COMPLETE if done and finished else End.CUT
