"""An endpoint without a model: answers as scripted, on its own thread, and notes what it did."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.loadtests.on_loopback import on_loopback


@dataclass(frozen=True, slots=True)
class Script:
    """What becomes of one request; times in real seconds."""

    first_s: float = 0.0
    gap_s: float = 0.0
    tokens: int = 3
    text_in: str = "content"  # field of the delta, or "text"
    usage: bool = True
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    code: str | None = None  # of a refusal's body
    error_after: int | None = None  # tokens, then an error inside the stream
    cut_after: int | None = None  # tokens, then the connection is lost


@dataclass(slots=True)
class Seen:
    """One request as the endpoint saw it; instants by time.perf_counter."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    running: int  # when it came, itself included
    first_sent_s: float = 0.0
    last_sent_s: float = 0.0


Scripted = Callable[[Seen], Script]


@dataclass(slots=True)
class MockEndpoint:
    """Running while the context of `serving` is."""

    script: Scripted
    state: dict[str, Any]
    url: str = ""
    running: int = 0
    seen: list[Seen] = field(default_factory=list)
    drained: bool = False
    state_status: int = 200
    metrics: str | None = None  # in Prometheus' text format
    versions: dict[str, str] | None = None  # None = no such route

    def application(self) -> web.Application:
        """The routes a load test asks."""
        app = web.Application()
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/v1/admission/state", self._state)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/version", self._version)
        app.router.add_post("/v1/admission/drain", self._drain)
        app.router.add_post("/tokenize", self._tokenize)
        app.router.add_post("/v1/chat/completions", self._answer)
        app.router.add_post("/v1/completions", self._answer)
        return app

    async def _models(self, _: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": "mock", "max_model_len": 4096}]})

    async def _state(self, _: web.Request) -> web.Response:
        return web.json_response(self.state, status=self.state_status)

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(text=self.metrics or "", status=200 if self.metrics else 404)

    async def _version(self, _: web.Request) -> web.Response:
        return web.json_response(self.versions or {}, status=200 if self.versions else 404)

    async def _drain(self, _: web.Request) -> web.Response:
        self.drained = True
        return web.json_response({}, status=202)

    async def _tokenize(self, request: web.Request) -> web.Response:
        """A word and a half is a token, and the template has 9 of them."""
        words = (await request.json())["messages"][0]["content"].split()
        return web.json_response({"count": 9 + round(len(words) * 1.5)})

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.running += 1
        try:
            body = await request.json()
            await asyncio.sleep(0.01)  # hang-ups that were sent earlier are seen earlier
            seen = Seen(request.path, dict(request.headers), body, self.running)
            self.seen.append(seen)
            script = self.script(seen)
            if script.status != 200:
                return _refusal(script)
            return await _stream(request, seen, script)
        except ConnectionError:  # the client left, as some are meant to
            return web.Response()
        finally:
            self.running -= 1


def _refusal(script: Script) -> web.Response:
    error = {"error": {"message": "no", "type": "t", "param": None, "code": script.code}}
    return web.json_response(error, status=script.status, headers=script.headers)


async def _stream(request: web.Request, seen: Seen, script: Script) -> web.StreamResponse:
    response = web.StreamResponse(
        headers={"content-type": "text/event-stream", "x-sluice-queued-ms": "0"} | script.headers
    )
    await response.prepare(request)
    await _send(response, _choice(script, ""))
    await asyncio.sleep(script.first_s)
    for number in range(script.tokens):
        if number == script.error_after:
            await _send(response, {"error": {"message": "boom", "code": "engine_died"}})
            break
        if number == script.cut_after:
            assert request.transport is not None
            request.transport.abort()
            return response
        if number:
            await asyncio.sleep(script.gap_s)
        seen.last_sent_s = time.perf_counter()
        seen.first_sent_s = seen.first_sent_s or seen.last_sent_s
        last = number == script.tokens - 1
        await _send(response, _choice(script, " word", finish="stop" if last else None))
    if script.usage:
        usage = {
            "prompt_tokens": 11,
            "completion_tokens": script.tokens,
            "prompt_tokens_details": {"cached_tokens": 4},
        }
        await _send(response, {"choices": [], "usage": usage})
    await response.write(b"data: [DONE]\n\n")
    await response.write_eof()
    return response


def _choice(script: Script, text: str, finish: str | None = None) -> dict[str, Any]:
    if script.text_in == "text":
        return {"choices": [{"index": 0, "text": text, "finish_reason": finish}]}
    delta = {"role": "assistant", "content": "", script.text_in: text}
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


async def _send(response: web.StreamResponse, event: dict[str, Any]) -> None:
    await response.write(b"data: " + json.dumps(event, separators=(",", ":")).encode() + b"\n\n")


@contextmanager
def serving(
    script: Script | Scripted = Script(), *, state: dict[str, Any] | None = None
) -> Iterator[MockEndpoint]:
    """The endpoint on a free port of loopback; without a state it is no Sluice, time scale 1."""
    scripted = script if callable(script) else lambda _: script
    endpoint = MockEndpoint(scripted, state or {})
    with on_loopback(endpoint.application(), cancels=True) as port:
        endpoint.url = f"http://127.0.0.1:{port}"
        yield endpoint
