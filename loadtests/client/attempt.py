"""One attempt over HTTP: sends a streamed request, reads its answer as it comes, may walk away."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus

import gevent
from geventhttpclient.response import HTTPSocketPoolResponse

from loadtests.client import chunk
from loadtests.client.api import BROKEN, JSON, LONGEST_S
from loadtests.client.blocks import next_block
from loadtests.client.clock import ModelledClock
from loadtests.client.sender import Sends
from loadtests.client.stream import AnswerReader, Heard

_OVERLOADED = 529  # Anthropic's
_NOT_NOW = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE, _OVERLOADED)
_LINGER_S = 1.0  # real seconds after `[DONE]`: the body's end lets the connection be kept


@dataclass(frozen=True, slots=True)
class Call:
    """What is sent, and when the caller walks away: an instant, or after some tokens."""

    path: str
    body: bytes
    headers: Mapping[str, str]
    gives_up_at_s: float = math.inf  # counts until the first token only
    hangs_up_after: int | None = None  # events with tokens
    keep_text: bool = False  # of the answer, for the next turn of its conversation


class End(StrEnum):
    """How an attempt ended."""

    COMPLETE = "complete"
    REFUSED = "refused"
    GAVE_UP = "gave_up"
    HUNG_UP = "hung_up"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of a call. `reason` = the gateway's, or what broke; `status` 0 = no answer.

    `said`: the server's own words for it.
    """

    end: End
    heard: Heard
    status: int = 0
    reason: str | None = None
    queued_s: float | None = None  # x-sluice-queued-ms, as the gateway counts it
    retry_after_s: float | None = None  # what a refusal told, in modelled seconds
    may_retry: bool = False
    said: str | None = None
    ended_at_s: float | None = None  # by `[DONE]`; None = when the attempt returned


class HttpLine:
    """Where calls go: an endpoint's kept connections, and the clock that times its answers."""

    def __init__(self, client: Sends, clock: ModelledClock) -> None:
        self._client = client
        self._clock = clock

    def attempt(self, call: Call) -> Attempt:
        """One request, from its first byte to its last, or to where the caller leaves."""
        reader = AnswerReader(keep_text=call.keep_text)
        response: HTTPSocketPoolResponse | None = None
        patience = _timer(call, self._clock)
        longest = gevent.Timeout.start_new(LONGEST_S)
        try:
            response = self._client.request("POST", call.path, call.body, JSON | dict(call.headers))
            if not HTTPStatus.OK <= response.status_code < HTTPStatus.MULTIPLE_CHOICES:
                return _refusal(response)
            left = _listen(response, reader, call, self._clock, patience)
            ended_at_s = self._clock.now_s()
            if reader.done and not left:
                _linger(response)
            return _answer(response, reader.heard(), ended_at_s, left=left)
        except gevent.Timeout as fired:
            if fired is patience:
                return Attempt(End.GAVE_UP, reader.heard(), _status(response), "patience")
            if fired is longest:
                return Attempt(End.BROKEN, reader.heard(), _status(response), "endless")
            raise
        except BROKEN as problem:
            name, said = type(problem).__name__, chunk.readable(str(problem))
            return Attempt(End.BROKEN, reader.heard(), _status(response), name, said=said)
        finally:
            patience.close()
            longest.close()
            if response is not None:
                response.release()  # closes the connection where the answer is not complete


def _timer(call: Call, clock: ModelledClock) -> gevent.Timeout:
    """Started; never fires where patience is endless."""
    left_s = call.gives_up_at_s - clock.now_s()
    return gevent.Timeout.start_new(None if left_s == math.inf else max(0, clock.real_s(left_s)))


def _listen(
    response: HTTPSocketPoolResponse,
    reader: AnswerReader,
    call: Call,
    clock: ModelledClock,
    patience: gevent.Timeout,
) -> bool:
    """Reads to the end; True if the caller left before it."""
    most = math.inf if call.hangs_up_after is None else call.hangs_up_after
    while block := next_block(response):
        # Who leaves after so many tokens does so in the middle of a block, too.
        for part in [block] if most == math.inf else block.splitlines(keepends=True):
            reader.read(part, clock.now_s())
            if reader.token_events >= most:
                return True
        if reader.token_events:
            patience.close()
        if reader.done:
            return False
    return False


def _linger(response: HTTPSocketPoolResponse) -> None:
    """Whatever becomes of the connection now, the answer is there."""
    try:
        with gevent.Timeout(_LINGER_S, exception=False):
            while next_block(response):
                pass
    except BROKEN:
        response.release()


def _answer(
    response: HTTPSocketPoolResponse, heard: Heard, ended_at_s: float, *, left: bool
) -> Attempt:
    queued_ms = _number(response, "x-sluice-queued-ms")
    queued_s = None if queued_ms is None else queued_ms / 1000
    if left:
        return Attempt(End.HUNG_UP, heard, response.status_code, queued_s=queued_s)
    end = End.COMPLETE if heard.complete else End.BROKEN
    return Attempt(
        end,
        heard,
        response.status_code,
        None if heard.complete else heard.error or "cut_off",
        queued_s,
        said=None if heard.complete else heard.said,
        ended_at_s=ended_at_s,
    )


def _refusal(response: HTTPSocketPoolResponse) -> Attempt:
    """400 without a reason of ours is a fault of the load test, not a refusal."""
    reason = _text(response, "x-sluice-reason")
    refused = reason is not None or response.status_code in _NOT_NOW
    queued_ms = _number(response, "x-sluice-queued-ms")
    code, said = _told(response)
    return Attempt(
        End.REFUSED if refused else End.BROKEN,
        AnswerReader().heard(),
        response.status_code,
        reason or code,
        None if queued_ms is None else queued_ms / 1000,
        _retry_after_s(response),
        may_retry=refused and _text(response, "x-should-retry") != "false",
        said=said,
    )


def _retry_after_s(response: HTTPSocketPoolResponse) -> float | None:
    """As the SDKs read it: milliseconds first. A date instead of seconds counts as nothing."""
    in_ms = _number(response, "retry-after-ms")
    return _number(response, "retry-after") if in_ms is None else in_ms / 1000


def _told(response: HTTPSocketPoolResponse) -> tuple[str, str | None]:
    """Its own name for what is wrong, or the status; and its words, of a page the title."""
    name, body = f"http_{response.status_code}", bytes(response.read())
    if location := _text(response, "location"):
        return name, f"redirected to {chunk.readable(location.partition('?')[0])}"
    try:
        event = chunk.as_object(body)
    except ValueError:
        event = None
    fault = chunk.fault_of(event, named_error=True) if isinstance(event, Mapping) else None
    if fault is None:
        return name, chunk.readable(body.decode(errors="replace")) or None
    named = fault.code not in ("error", fault.said) and fault.said != fault.code
    return (fault.code if named else name), fault.said


def _status(response: HTTPSocketPoolResponse | None) -> int:
    return 0 if response is None else int(response.status_code)


def _text(response: HTTPSocketPoolResponse, name: str) -> str | None:
    value = response.get(name)
    return value if isinstance(value, str) else None


def _number(response: HTTPSocketPoolResponse, name: str) -> float | None:
    """None where it is no length of time."""
    try:
        number = float(_text(response, name) or "")
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None
