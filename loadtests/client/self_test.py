"""The run checks its own reader first: a tiny endpoint in this process, tokens of known times."""

from dataclasses import dataclass

import gevent
import gevent.socket
from gevent.server import StreamServer
from geventhttpclient import HTTPClient

from loadtests.asking.prompts import Route
from loadtests.client.attempt import Call, HttpLine
from loadtests.client.clock import ModelledClock

TOKENS = 20
_FIRST_S, _GAP_S = 0.15, 0.01  # real seconds; the first is long enough for a reader that buffers
_LATE_MOST_S = 0.05  # real; the machine may be busy, a reader of whole blocks is later than this
_TRIES = 3
_REQUEST_BYTES = 65_536
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_ROLE = b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n'
_TOKEN = b'data: {"choices":[{"index":0,"delta":{"content":" word"},"finish_reason":null}]}\n\n'
_LAST = b'data: {"choices":[{"index":0,"delta":{"content":""},"finish_reason":"stop"}]}\n\n'
_USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":%d}}\n\n' % TOKENS
_DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True, slots=True)
class Finding:
    """How much later than sent the first and the last token were read, real seconds."""

    first_late_s: float
    last_late_s: float
    tokens: int

    def flaw(self) -> str | None:
        """Why this reader is not to be believed; None = it is."""
        if self.tokens != TOKENS:
            return f"{self.tokens} tokens read, {TOKENS} sent"
        late_s = max(self.first_late_s, self.last_late_s)
        if late_s > _LATE_MOST_S or self.first_late_s < 0:
            return f"a token was read {late_s:.3f} s after it was sent, allowed {_LATE_MOST_S:g} s"
        return None


def check_reader() -> Finding:
    """The best of a few tries: one bad one can be the machine's, all of them are the reader's."""
    finding = _try()
    for _ in range(_TRIES - 1):
        if finding.flaw() is None:
            break
        finding = _try()
    return finding


class ReaderError(Exception):
    """Our own reader fails its test here: nothing it measured could be believed."""


def require_reader() -> None:
    """ReaderError where the check fails."""
    if flaw := check_reader().flaw():
        raise ReaderError(flaw)


class _Endpoint:
    """Streams one answer, and notes by the caller's own clock when it sent first and last."""

    def __init__(self, clock: ModelledClock) -> None:
        self._clock = clock
        self.first_sent_s = self.last_sent_s = 0.0

    def answer(self, connection: gevent.socket.socket, _address: object) -> None:
        """Whatever was asked."""
        connection.recv(_REQUEST_BYTES)
        connection.sendall(_HEAD + _chunk(_ROLE))
        gevent.sleep(_FIRST_S)
        self.first_sent_s = self._clock.now_s()
        connection.sendall(_chunk(_TOKEN))
        for _ in range(TOKENS - 2):
            gevent.sleep(_GAP_S)
            connection.sendall(_chunk(_TOKEN))
        gevent.sleep(_GAP_S)
        self.last_sent_s = self._clock.now_s()
        connection.sendall(_chunk(_LAST))
        connection.sendall(_chunk(_USAGE) + _chunk(_DONE) + _chunk(b""))


def _chunk(event: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(event), event)


def _try() -> Finding:
    clock = ModelledClock()
    endpoint = _Endpoint(clock)
    server = StreamServer(("127.0.0.1", 0), endpoint.answer)
    server.start()
    try:
        client = HTTPClient("127.0.0.1", server.server_port)
        attempt = HttpLine(client, clock).attempt(Call(Route.CHAT, b"{}", {}))
        client.close()
    finally:
        server.stop()
    heard = attempt.heard
    if heard.first_at_s is None or heard.last_at_s is None:
        return Finding(0.0, 0.0, 0)
    return Finding(
        heard.first_at_s - endpoint.first_sent_s,
        heard.last_at_s - endpoint.last_sent_s,
        heard.output_tokens if len(heard.gaps_s) == TOKENS - 1 else len(heard.gaps_s) + 1,
    )
