"""Ends a stream to an HTTP/1.0 client by closing the connection: HTTP/1.0 has no chunked encoding.

uvicorn's httptools protocol sends every body without a length in chunks, whatever the version.
Decided once per request; HTTP/1.1 is unchanged.
`tests/serve/http/server/test_one_zero.py` tests this on the installed uvicorn.
"""

from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


def close_delimited() -> None:
    """Patches how uvicorn runs an app for a request. Idempotent."""
    run = RequestResponseCycle.run_asgi
    if getattr(run, "_sluice_one_zero", False):
        return

    async def run_asgi(self: Any, app: Any) -> None:
        inner: Any = _Plain(app, self) if self.scope["http_version"] == "1.0" else app
        await run(self, inner)

    run_asgi._sluice_one_zero = True  # type: ignore[attr-defined]  # noqa: SLF001
    RequestResponseCycle.run_asgi = run_asgi  # type: ignore[method-assign]


class _Plain:
    """An app whose body is sent without chunks; `cycle` is uvicorn's state of one request."""

    def __init__(self, app: ASGIApp, cycle: Any) -> None:
        self._app = app
        self._cycle = cycle
        self._without_length = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""

        async def plain(message: Message) -> None:
            if message["type"] == "http.response.start":
                names = {name.lower() for name, _ in message.get("headers", [])}
                if b"content-length" not in names:
                    self._cycle.chunked_encoding = False
                    self._cycle.keep_alive = False  # the connection ends with the body
                    self._without_length = True
            elif self._without_length:
                self._cycle.expected_content_length = len(message.get("body", b""))
            await send(message)

        await self._app(scope, receive, plain)
