"""A client that costs little: prebuilt bytes over raw connections, and what became of each request.

It shares its cores with what it measures, so `Lag` tells how late its own event loop was: what is
late by that much is the client's delay, not the gateway's.
"""

import asyncio
import json
import random
import re
from dataclasses import dataclass, field
from time import perf_counter
from typing import cast

_REASON = re.compile(rb'"code": ?"([a-z_]+)"')
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_QUEUED = re.compile(rb"x-sluice-queued-ms: *(\d+)", re.IGNORECASE)
_CONTENT, _NO_CONTENT = b'"content":"', b'"content":""'
_PROBE_S = 0.005


@dataclass(slots=True, eq=False)
class Told:
    """One request as its client saw it; instants of `perf_counter`, 0.0 = never."""

    due_at_s: float = 0.0
    sent_at_s: float = 0.0
    first_at_s: float = 0.0  # first content of a stream
    ended_at_s: float = 0.0
    status: int = 0  # 0: the connection ended without an answer
    reason: str = ""
    queued: bool = False  # it waited in line, as the gateway says
    whole: bool = False  # a stream came to its [DONE], any other answer to its end

    @property
    def served(self) -> bool:
        """Answered 200, to the end."""
        return self.whole and self.status == 200


class Connection(asyncio.Protocol):
    """One keep-alive connection; one request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._told = Told()
        self._done: asyncio.Future[None] | None = None
        self._head = b""
        self._left_bytes: int | None = None  # of a body whose length is known
        self._body = b""
        self.alive = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        self._transport = cast("asyncio.Transport", transport)
        self.alive = True

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        self.alive = False
        self._end()

    async def ask(self, request: bytes, told: Told) -> Told:
        """Sends `request` and returns once its answer is whole or the connection is lost."""
        assert self._transport is not None
        self._told, self._head, self._body, self._left_bytes = told, b"", b"", None
        self._done = asyncio.get_running_loop().create_future()
        told.sent_at_s = told.sent_at_s or perf_counter()
        self._transport.write(request)
        if not self.alive:
            self._end()
        await self._done
        return told

    def close(self) -> None:
        """Hangs up."""
        if self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        told = self._told
        if not told.status:
            self._head += data
            head, end, data = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            told.status = int(head[9:12])
            length, queued = _LENGTH.search(head), _QUEUED.search(head)
            told.queued = queued is not None and int(queued.group(1)) > 0
            self._left_bytes = int(length.group(1)) if length else None
        if self._left_bytes is None:
            self._stream(told, data)
        else:
            self._left_bytes -= len(data)
            self._body += data
            if self._left_bytes <= 0:
                told.whole = True
                self._end()

    def _stream(self, told: Told, data: bytes) -> None:
        if not told.first_at_s and data.count(_CONTENT) > data.count(_NO_CONTENT):
            told.first_at_s = perf_counter()
        told.whole |= b"[DONE]" in data
        if data.endswith(b"0\r\n\r\n"):
            self._end()

    def _end(self) -> None:
        if self._done is None or self._done.done():
            return
        self._told.ended_at_s = perf_counter()
        reason = _REASON.search(self._body)
        self._told.reason = reason.group(1).decode() if reason else ""
        self._done.set_result(None)


@dataclass
class Pool:
    """Connections to one address: an idle one is used again, none idle opens another."""

    port: int
    idle: list[Connection] = field(default_factory=list)

    async def open(self) -> Connection:
        """A new connection. Raises OSError when nobody listens."""
        loop = asyncio.get_running_loop()
        _, made = await loop.create_connection(Connection, "127.0.0.1", self.port)
        return made

    async def ask(self, request: bytes, told: Told) -> Told:
        """One request; a new connection counts as part of it."""
        told.sent_at_s = perf_counter()
        while self.idle:
            connection = self.idle.pop()
            if connection.alive:
                break
        else:
            connection = await self.open()
        await connection.ask(request, told)
        if connection.alive:
            self.idle.append(connection)
        return told

    def close(self) -> None:
        """Hangs up on all that are idle."""
        for connection in self.idle:
            connection.close()
        self.idle.clear()


class Lag:
    """How much later than asked this event loop wakes up: every 5 ms, in seconds, in `late_s`."""

    def __init__(self) -> None:
        self.late_s: list[float] = []
        self._task = asyncio.create_task(self._probe())

    async def _probe(self) -> None:
        while True:
            due_s = perf_counter() + _PROBE_S
            await asyncio.sleep(_PROBE_S)
            self.late_s.append(perf_counter() - due_s)

    async def stop(self) -> None:
        """Ends the probe."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


def get(path: str) -> bytes:
    """A GET as it goes over the wire."""
    return f"GET {path} HTTP/1.1\r\nhost: sluice\r\n\r\n".encode()


def post(path: str, document: object, **headers: str) -> bytes:
    """A POST as it goes over the wire; `_` in the name of a header stands for `-`."""
    body = json.dumps(document).encode()
    own = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    head = f"POST {path} HTTP/1.1\r\nhost: sluice\r\ncontent-type: application/json\r\n{own}"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


async def open_loop(
    pool: Pool, requests: list[bytes], *, per_s: float, seed: int = 1
) -> list[Told]:
    """Sends all at random instants, so many a second; returns when all are answered."""
    rng, due_s = random.Random(seed), perf_counter()
    tasks = []
    for request in requests:
        due_s += rng.expovariate(per_s)
        if (wait_s := due_s - perf_counter()) > 0:
            await asyncio.sleep(wait_s)
        tasks.append(asyncio.create_task(pool.ask(request, Told(due_at_s=due_s))))
    return await asyncio.gather(*tasks)


async def closed_loop(
    pool: Pool, requests: list[bytes], *, users: int, seconds: float
) -> list[Told]:
    """Each user sends its next request when it has its answer; stops asking after `seconds`."""
    told: list[Told] = []
    left, end_s = iter(requests), perf_counter() + seconds

    async def user() -> None:
        for request in left:
            if perf_counter() >= end_s:
                return
            told.append(await pool.ask(request, Told(due_at_s=perf_counter())))

    await asyncio.gather(*(user() for _ in range(users)))
    return told
