"""HTTP/1.0 callers, against the uvicorn that is installed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from serve.http.server.one_zero import close_delimited
from tests.fakes import body, start

KIND = (b"content-type", b"text/event-stream")


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """A stream, or a whole answer where the path says so."""
    if scope["path"] == "/whole":
        await send(start(200, (b"content-length", b"4")))
        await send(body(b"abcd"))
        return
    await send(start(200, KIND))
    await send(body(b"data: 1\n\n", more=True))
    await send(body(b"", more=True))
    await send(body(b"data: 2\n\n", more=True))
    await send(body(b"" if scope["path"] == "/empty-end" else b"data: [DONE]\n\n"))


@asynccontextmanager
async def served() -> AsyncIterator[int]:
    close_delimited()
    close_delimited()
    config = uvicorn.Config(app, port=0, http="httptools", lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has nothing to wait for
        await asyncio.sleep(0)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await task


async def ask(port: int, text: str) -> tuple[str, bytes]:
    """Head and body until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(text.encode())
    async with asyncio.timeout(10):
        head, _, rest = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    return head.decode().lower(), rest


@pytest.mark.parametrize("more", ["", "Connection: keep-alive\r\n"])
@pytest.mark.parametrize("path", ["/", "/empty-end"])
async def test_a_stream_ends_with_its_connection(path: str, more: str) -> None:
    async with served() as port:
        head, rest = await ask(port, f"GET {path} HTTP/1.0\r\nHost: x\r\n{more}\r\n")
    assert "transfer-encoding" not in head
    assert "connection: close" in head
    done = b"" if path == "/empty-end" else b"data: [DONE]\n\n"
    assert rest == b"data: 1\n\ndata: 2\n\n" + done


async def test_a_whole_answer_keeps_its_length() -> None:
    async with served() as port:
        head, rest = await ask(port, "GET /whole HTTP/1.0\r\nHost: x\r\n\r\n")
    assert ("content-length: 4" in head, rest) == (True, b"abcd")


async def test_head_has_no_body() -> None:
    async with served() as port:
        head, rest = await ask(port, "HEAD / HTTP/1.0\r\nHost: x\r\n\r\n")
    assert ("transfer-encoding" in head, rest) == (False, b"")


async def test_http_1_1_has_chunks_as_ever() -> None:
    async with served() as port:
        head, rest = await ask(port, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert "transfer-encoding: chunked" in head
    assert rest.startswith(b"9\r\ndata: 1")
