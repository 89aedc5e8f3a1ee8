"""Answers 503 at once while no replica runs, in the shape of the caller's API.

Without a replica HAProxy falls back to Serve's own Python proxy, where a request would wait for a
replica without bound.
"""

from starlette.types import ASGIApp, Receive, Scope, Send

from admission.terms import refusals
from serve.http import problems
from serve.http.allow import family_of
from serve.http.problems import Problem

_SERVES_OWN = "/-/"  # HAProxy's health checks of the proxy itself


def no_replica(path: str) -> Problem:
    """The 503 for a request to `path`."""
    return problems.answer(refusals.engine_down(), family_of(path))


class NoReplica:
    """Answers every HTTP request 503 `engine_down`; lets Serve's own paths through."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http" or scope["path"].startswith(_SERVES_OWN):
            await self._app(scope, receive, send)
            return
        problem = no_replica(scope["path"])
        headers = [*problem.headers, (b"content-length", str(len(problem.body)).encode())]
        await send({"type": "http.response.start", "status": problem.status, "headers": headers})
        await send({"type": "http.response.body", "body": problem.body})
