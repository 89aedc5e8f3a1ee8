"""Endpoints of other makers: one handler for every path, on its own thread."""

import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.loadtests.on_loopback import on_loopback


@dataclass(frozen=True, slots=True)
class Heard:
    """One request as the endpoint got it."""

    method: str
    path: str  # with its query
    headers: dict[str, str]
    body: Any


@dataclass(slots=True)
class Foreign:
    """Where it is, and what was asked of it."""

    url: str = ""
    heard: list[Heard] = field(default_factory=list)

    def asked(self, end: str) -> list[Heard]:
        """Requests to paths with that end."""
        return [each for each in self.heard if each.path.partition("?")[0].endswith(end)]


Answer = Callable[[Heard], object]


@contextmanager
def foreign(answer: Answer) -> Iterator[Foreign]:
    """Bytes are a stream, a dict JSON, a number a status; anything else goes out as it is."""
    endpoint = Foreign()

    async def handle(request: web.Request) -> web.StreamResponse:
        text = await request.text()
        body = json.loads(text) if text else None
        heard = Heard(request.method, request.path_qs, _lower(request.headers), body)
        endpoint.heard.append(heard)
        told = answer(heard)
        if isinstance(told, bytes):
            return web.Response(body=told, content_type="text/event-stream")
        if isinstance(told, dict | list):
            return web.json_response(told)
        return web.json_response({}, status=told) if isinstance(told, int) else told

    with running(handle) as port:
        endpoint.url = f"http://127.0.0.1:{port}"
        yield endpoint


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


@contextmanager
def running(handle: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> Iterator[int]:
    """The port of loopback at which it answers every path."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    with on_loopback(app) as port:
        yield port
