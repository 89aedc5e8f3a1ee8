"""HTTP/1.1 by hand: it sends what no client library would, and sees when a connection is kept."""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.bench.fuzz.case import Case

_MOST_BYTES = 4_000_000  # of an answer; the rest is not read


class BrokenAnswerError(Exception):
    """What came back is no HTTP answer, or ended too soon."""


class UnansweredError(BrokenAnswerError):
    """Nothing came back."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Header names are lower case; of repeated ones the last counts."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    kept: bool = True  # the connection takes another request
    cut: bool = False  # we left before its end
    taken_s: float = field(default=0.0)


class Wire:
    """One connection at a time, opened when it is needed."""

    def __init__(self, host: str, port: int) -> None:
        self._address = host, port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, case: Case, *, within_s: float) -> Answer:
        """The answer, or as much of it as came `within_s` seconds (`cut`).

        Raises TimeoutError when not even its head came, and BrokenAnswerError.
        """
        reused = self._streams is not None
        try:
            return await self._ask(case, within_s)
        except UnansweredError:
            if not reused:
                raise
            return await self._ask(case, within_s)  # it closed an idle connection as we sent

    async def _ask(self, case: Case, within_s: float) -> Answer:
        loop = asyncio.get_running_loop()
        begun_s = loop.time()
        reader, writer = await self._open()
        kept = False
        try:
            async with asyncio.timeout(within_s):
                with contextlib.suppress(OSError):  # it may answer before it has read all of it
                    writer.write(_request(case, self._address))
                    await writer.drain()
                status, headers = await _head(reader)
            body, cut = bytearray(), False
            try:
                async with asyncio.timeout(within_s):
                    await _read_body(reader, headers, body)
            except TimeoutError:
                cut = True
            framed = any(name == "content-length" for name, _ in case.headers)  # perhaps wrongly
            kept = not (cut or framed) and headers.get("connection", "").lower() != "close"
            return Answer(status, headers, bytes(body), kept, cut, loop.time() - begun_s)
        finally:
            if not kept:
                await self.close()

    async def close(self) -> None:
        """The next request opens another connection."""
        streams, self._streams = self._streams, None
        if streams is not None:
            streams[1].close()
            with contextlib.suppress(OSError):
                await streams[1].wait_closed()

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is not None and self._streams[0].at_eof():
            await self.close()  # the other end closed an idle connection
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._address, limit=1 << 20)
        return self._streams


def _request(case: Case, address: tuple[str, int]) -> bytes:
    names = {name.lower() for name, _ in case.headers}
    lines = [f"{case.method} {case.path} HTTP/1.1", f"host: {address[0]}:{address[1]}"]
    lines += [f"{name}: {value}" for name, value in case.headers]
    chunked = "transfer-encoding" in names
    if not chunked and "content-length" not in names and case.body:
        lines.append(f"content-length: {len(case.body)}")
    head = "\r\n".join([*lines, "", ""]).encode("utf-8" if _wide(lines) else "latin-1")
    if not chunked:
        return head + case.body
    chunk = f"{len(case.body):x}\r\n".encode() + case.body + b"\r\n" if case.body else b""
    return head + chunk + b"0\r\n\r\n"


def _wide(lines: list[str]) -> bool:
    return any(ord(c) > 255 for line in lines for c in line)


async def _head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    while True:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, OSError) as fault:
            raise UnansweredError("closed without an answer") from fault
        first, *lines = head.decode("latin-1").split("\r\n")
        words = first.split(" ", 2)
        if len(words) < 2 or not words[1].isdecimal():
            raise BrokenAnswerError(f"no status line: {first[:80]!r}")
        status = int(words[1])
        if status >= 200:
            pairs = (line.partition(":") for line in lines if line)
            return status, {name.lower(): value.strip() for name, _, value in pairs}


async def _read_body(
    reader: asyncio.StreamReader, headers: Mapping[str, str], body: bytearray
) -> None:
    """Into `body`, so that what came before a timeout is there."""
    try:
        if headers.get("transfer-encoding", "").lower() == "chunked":
            while size := int(await reader.readuntil(b"\r\n"), 16):
                body += await reader.readexactly(size)
                await reader.readexactly(2)
                if len(body) > _MOST_BYTES:
                    raise TimeoutError
            await reader.readuntil(b"\r\n")
        elif "content-length" in headers:
            body += await reader.readexactly(int(headers["content-length"]))
        else:
            body += await reader.read(_MOST_BYTES)
    except (asyncio.IncompleteReadError, OSError, ValueError) as fault:
        raise BrokenAnswerError(f"the answer broke off after {len(body)} bytes") from fault
