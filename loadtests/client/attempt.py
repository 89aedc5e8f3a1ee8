"""One attempt over HTTP: sends a streamed request, reads its answer as it comes, may walk away."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from http import HTTPStatus

import gevent
from geventhttpclient import HTTPClient
from geventhttpclient.response import HTTPSocketPoolResponse

from loadtests.client.api import BROKEN, JSON, LONGEST_S
from loadtests.client.clock import ModelledClock
from loadtests.client.stream import AnswerReader, Heard

_NOT_NOW = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)


@dataclass(frozen=True, slots=True)
class Call:
    """What is sent, and when the caller walks away: an instant, or after some tokens."""

    path: str
    body: bytes
    headers: Mapping[str, str]
    gives_up_at_s: float = math.inf  # counts until the first token only
    hangs_up_after: int | None = None  # events with tokens


class End(StrEnum):
    """How an attempt ended."""

    COMPLETE = "complete"
    REFUSED = "refused"
    GAVE_UP = "gave_up"
    HUNG_UP = "hung_up"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of a call. `reason` = the gateway's, or what broke; `status` 0 = no answer."""

    end: End
    heard: Heard
    status: int = 0
    reason: str | None = None
    queued_s: float | None = None  # x-sluice-queued-ms, as the gateway counts it
    retry_after_s: float | None = None  # what a refusal told, in modelled seconds
    may_retry: bool = False


class HttpLine:
    """Where calls go: an endpoint's kept connections, and the clock that times its answers."""

    def __init__(self, client: HTTPClient, clock: ModelledClock) -> None:
        self._client = client
        self._clock = clock

    def attempt(self, call: Call) -> Attempt:
        """One request, from its first byte to its last, or to where the caller leaves."""
        reader = AnswerReader()
        response: HTTPSocketPoolResponse | None = None
        patience = _timer(call, self._clock)
        longest = gevent.Timeout.start_new(LONGEST_S)
        try:
            response = self._client.request("POST", call.path, call.body, JSON | dict(call.headers))
            if response.status_code != HTTPStatus.OK:
                return _refusal(response)
            left = _listen(response, reader, call, self._clock, patience)
            return _answer(response, reader.heard(), left=left)
        except gevent.Timeout as fired:
            if fired is patience:
                return Attempt(End.GAVE_UP, reader.heard(), _status(response), "patience")
            if fired is longest:
                return Attempt(End.BROKEN, reader.heard(), _status(response), "endless")
            raise
        except BROKEN as problem:
            return Attempt(End.BROKEN, reader.heard(), _status(response), type(problem).__name__)
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
    lines = iter(partial(response.readline, b"\n"), b"")
    for line in lines:
        reader.read(line, clock.now_s())
        if reader.token_events:
            patience.close()
            break
    most = math.inf if call.hangs_up_after is None else call.hangs_up_after
    while reader.token_events < most:
        line = next(lines, b"")
        if not line:
            return False
        reader.read(line, clock.now_s())
    return True


def _answer(response: HTTPSocketPoolResponse, heard: Heard, *, left: bool) -> Attempt:
    queued_ms = _number(response, "x-sluice-queued-ms")
    queued_s = None if queued_ms is None else queued_ms / 1000
    if left:
        return Attempt(End.HUNG_UP, heard, response.status_code, queued_s=queued_s)
    end = End.COMPLETE if heard.complete else End.BROKEN
    reason = None if heard.complete else heard.error or "cut_off"
    return Attempt(end, heard, response.status_code, reason, queued_s)


def _refusal(response: HTTPSocketPoolResponse) -> Attempt:
    """400 without a reason of ours is a fault of the load test, not a refusal."""
    reason = _text(response, "x-sluice-reason")
    refused = reason is not None or response.status_code in _NOT_NOW
    queued_ms = _number(response, "x-sluice-queued-ms")
    return Attempt(
        End.REFUSED if refused else End.BROKEN,
        AnswerReader().heard(),
        response.status_code,
        reason or _code(response.read()) or f"http_{response.status_code}",
        None if queued_ms is None else queued_ms / 1000,
        _retry_after_s(response),
        may_retry=refused and _text(response, "x-should-retry") != "false",
    )


def _retry_after_s(response: HTTPSocketPoolResponse) -> float | None:
    """As the SDKs read it: milliseconds first. A date instead of seconds counts as nothing."""
    in_ms = _number(response, "retry-after-ms")
    return _number(response, "retry-after") if in_ms is None else in_ms / 1000


def _code(body: bytes) -> str | None:
    try:
        error = json.loads(body)["error"]
        return str(error["code"] or error["type"])
    except (ValueError, KeyError, TypeError):
        return None


def _status(response: HTTPSocketPoolResponse | None) -> int:
    return 0 if response is None else int(response.status_code)


def _text(response: HTTPSocketPoolResponse, name: str) -> str | None:
    value = response.get(name)
    return value if isinstance(value, str) else None


def _number(response: HTTPSocketPoolResponse, name: str) -> float | None:
    try:
        return float(_text(response, name) or "")
    except ValueError:
        return None
