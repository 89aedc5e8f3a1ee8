"""The way back to the client: vLLM's answer, or a problem in its place."""

import json
import logging
from http import HTTPStatus
from typing import Any

from starlette.types import Message, Send

from admission.terms import refusals
from admission.terms.decision import Rejected
from serve.http.connection import ClientConnection
from serve.http.gate_like import GateLike
from serve.http.http_request import STRANGER, HttpRequest
from serve.http.problems import Problem, answer, error, error_event, is_callers
from serve.http.request.intake import RawHeaders
from serve.http.response.rate_limits import rate_limit_headers

_log = logging.getLogger("sluice.http")

_ERROR_BODY_MAX_BYTES = 1_048_576  # vLLM's own errors are far shorter
_ERROR_LOGGED_BYTES = 500  # of vLLM's own error text
_STREAMING = {b"cache-control": b"no-cache", b"x-accel-buffering": b"no"}
_TOO_LONG = b"This model's maximum context length"  # how vLLM begins to say so


class Reply:
    """ASGI's `send` for the app. Every answer leaves through here, with our headers.

    The start of an answer is held until the first byte of its body. Until then a verdict, a dead
    engine or a crash can still become a proper error.
    """

    def __init__(
        self,
        send: Send,
        caller: ClientConnection,
        call: HttpRequest,
        gate: GateLike,
        *,
        echo_request_id: bool,
    ) -> None:
        self._send = send
        self._caller = caller
        self._call = call
        self._gate = gate
        self._echo_request_id = echo_request_id
        self._start: Message | None = None
        self._error_body = bytearray()
        self._passing = False
        self.finished = False

    @property
    def started(self) -> bool:
        """True once the status was sent."""
        return self._call.status is not None

    async def __call__(self, message: Message) -> None:
        """Takes one message of the app; passes it on, or holds or replaces it."""
        if self.finished or self._caller.left.done():
            return
        if self._passing:
            self.finished = not message.get("more_body", False)
            await self._send(message)
        elif message["type"] == "http.response.start":
            await self._hold(message)
        elif message["type"] == "http.response.body":
            await self._first_body(message)

    async def problem(self, problem: Problem) -> None:
        """Answers with `problem`; later messages of the app are dropped."""
        await self.whole(problem.status, problem.headers, problem.body)

    async def cut_off(self, verdict: Rejected) -> None:
        """Ends an answer with the verdict; a stream that has started gets an error event."""
        problem = answer(verdict, self._call.family)
        if not self.started:
            await self.problem(problem)
        elif not self.finished and not self._caller.has_left:
            self.finished = True
            event = error_event(problem, self._call.path)
            await self._send({"type": "http.response.body", "body": event})

    async def failed(self) -> None:
        """Answers in place of an app that ended without an answer."""
        if self._gate.healthy:
            fault = "The request failed inside the server."
            await self.problem(error(500, fault, self._call.family))
        else:
            await self.problem(self._engine_down())

    async def whole(self, status: int, headers: RawHeaders, body: bytes) -> None:
        """Sends a complete answer."""
        if self.finished or self._caller.has_left:
            return
        length = (b"content-length", str(len(body)).encode())
        await self._open(status, [*headers, length])
        self.finished = True
        self._note_first_byte()
        await self._send({"type": "http.response.body", "body": body})

    async def _hold(self, start: Message) -> None:
        self._start = start
        if self._call.verdict is not None:
            await self.problem(answer(self._call.verdict, self._call.family))

    async def _first_body(self, message: Message) -> None:
        start = self._start
        if start is None:
            return  # the app broke the protocol; `failed` answers when it ends
        more = message.get("more_body", False)
        if start["status"] >= HTTPStatus.BAD_REQUEST:
            await self._collect_error(start, message.get("body", b""), more)
        elif more and not message.get("body"):
            return
        elif more and not self._gate.healthy:
            await self.problem(self._engine_down())
        else:
            await self._open(start["status"], _for_proxies(start["headers"]))
            self._note_first_byte()
            self._passing = True
            self.finished = not more
            await self._send(message)

    async def _collect_error(self, start: Message, body: bytes, more: bool) -> None:
        if len(self._error_body) < _ERROR_BODY_MAX_BYTES:
            self._error_body += body
        if more:
            return
        status, problem = start["status"], None
        if not is_callers(status):
            problem = self._fault_of_ours()
        elif self._generated:
            status = HTTPStatus.INTERNAL_SERVER_ERROR  # the caller's mistakes were found before
            _log.error("Request %s: the app cannot tell its answer", self._call.request_id)
        problem = problem or _in_shape(status, bytes(self._error_body), self._call)
        await self.problem(problem)

    @property
    def _generated(self) -> bool:
        """Whether the engine has produced a token."""
        visit = self._call.visit
        return visit is not None and self._gate.prefill_s(visit) is not None

    def _fault_of_ours(self) -> Problem | None:
        """The cause of a 5xx of the app: a dead engine, or a body that crashed its parser.

        vLLM uses some fields before it has checked their types.
        """
        told = bytes(self._error_body[:_ERROR_LOGGED_BYTES])
        _log.error("Request %s failed in the app: %r", self._call.request_id, told)
        if not self._gate.healthy:
            return self._engine_down()
        fault = self._gate.fault_in(self._call.path, self._call.body)
        return None if fault is None else error(400, fault, self._call.family)

    def _engine_down(self) -> Problem:
        refusal = refusals.engine_down()
        if self._call.visit is not None:
            self._call.visit.verdict = refusal
        return answer(refusal, self._call.family)

    async def _open(self, status: int, headers: RawHeaders) -> None:
        self._call.status = status
        if self._call.visit is not None:
            self._call.visit.status = status
        kept = [(name, value) for name, value in headers if name.lower() != b"x-request-id"]
        start = {
            "type": "http.response.start",
            "status": status,
            "headers": [*kept, *self._our_headers()],
        }
        await self._send(start)

    def _our_headers(self) -> RawHeaders:
        call = self._call
        prefill_s = None if call.visit is None else self._gate.prefill_s(call.visit)
        timing = f"queue;dur={call.queued_ms:.1f}"
        if prefill_s is not None:
            timing += f", prefill;dur={prefill_s * 1000:.1f}"
        headers = [
            (b"x-sluice-config", self._gate.settings_hash().encode()),
            (b"x-sluice-queued-ms", f"{call.queued_ms:.0f}".encode()),
            (b"server-timing", timing.encode()),
        ]
        if call.tenant is not STRANGER:
            headers += rate_limit_headers(self._gate.standing(call.charged))
        if self._echo_request_id:
            headers.append((b"x-request-id", call.request_id.encode("latin-1", "replace")))
        return headers

    def _note_first_byte(self) -> None:
        if self._call.visit is not None:
            self._call.visit.first_byte_at_s = self._gate.now_s()


def _for_proxies(headers: RawHeaders) -> RawHeaders:
    """Headers of a stream: nginx must not buffer it, caches must not keep it."""
    kind = next((value for name, value in headers if name.lower() == b"content-type"), b"")
    if not kind.startswith(b"text/event-stream"):
        return headers
    kept = [(name, value) for name, value in headers if name.lower() not in _STREAMING]
    return [*kept, *_STREAMING.items()]


def _in_shape(status: int, body: bytes, call: HttpRequest) -> Problem:
    """An error of vLLM, FastAPI or Starlette in the family's shape, with a string `code`."""
    message, param = _message_of(body)
    code = None
    if body.find(_TOO_LONG) >= 0:
        code = "context_length_exceeded"
    elif status == HTTPStatus.NOT_FOUND and param == "model":
        code = "model_not_found"
    return error(status, message, call.family, code=code, param=param)


def _message_of(body: bytes) -> tuple[str, str | None]:
    """Message and param of {"error": {...}}, {"error": "text"}, {"detail": ...} or plain text."""
    try:
        document: Any = json.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace") or "The request failed.", None
    fault: Any = document
    if isinstance(document, dict):
        fault = document.get("error", document.get("detail", document))
    if isinstance(fault, dict) and isinstance(fault.get("message"), str):
        param = fault.get("param")
        return fault["message"], param.removeprefix("body.") if isinstance(param, str) else None
    return fault if isinstance(fault, str) else json.dumps(fault), None
