"""Refusals and errors as HTTP: the one table Reason -> status, in the shapes of both APIs."""

import json
import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from admission.terms.decision import Reason, Rejected
from serve.visit import ApiFamily

RETRY_MAX_S = 59.0  # Vercel's SDK ignores 60 s and more, LiteLLM more than 60 s
RETRY_MIN_S = 0.1  # OpenAI's SDK ignores 0
RETRY_UNKNOWN_S = 1.0  # no release is predicted: about the time of a few engine steps
JITTER = (1.0, 1.5)  # requests refused together should not retry together

Jitter = Callable[[float, float], float]


@dataclass(frozen=True, slots=True)
class Problem:
    """An error as it goes over the wire; `headers` are lower case and hold no content-length."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """Status and error types of a problem, for OpenAI's and Anthropic's APIs."""

    status: int
    openai_type: str
    anthropic_type: str
    retry: bool  # x-should-retry


_CONTENDED = ProblemKind(429, "rate_limit_error", "rate_limit_error", retry=True)
_NOTHING_SERVES = ProblemKind(503, "service_unavailable_error", "overloaded_error", retry=True)
_CANNOT_BE = ProblemKind(400, "invalid_request_error", "invalid_request_error", retry=False)

REASONS: dict[Reason, ProblemKind] = {
    Reason.KV_CAPACITY: _CONTENDED,
    Reason.SLOTS: _CONTENDED,
    Reason.TTFT_SLO: _CONTENDED,
    Reason.TPOT_SLO: _CONTENDED,
    Reason.QUEUE_FULL: _CONTENDED,
    Reason.TENANT_BUDGET: _CONTENDED,
    Reason.NEVER_FITS: _CANNOT_BE,
    Reason.UNSUPPORTED: _CANNOT_BE,
    Reason.DRAINING: _NOTHING_SERVES,
    Reason.ENGINE_DOWN: _NOTHING_SERVES,
}

# status of an error other than a refusal -> its kind, and its default `code`
_ERRORS: dict[int, tuple[ProblemKind, str]] = {
    400: (_CANNOT_BE, "invalid_request"),
    401: (
        ProblemKind(401, "invalid_request_error", "authentication_error", False),
        "invalid_api_key",
    ),
    403: (
        ProblemKind(403, "invalid_request_error", "permission_error", False),
        "permission_denied",
    ),
    404: (ProblemKind(404, "invalid_request_error", "not_found_error", False), "not_found"),
    408: (
        ProblemKind(408, "invalid_request_error", "invalid_request_error", True),
        "request_timeout",
    ),
    409: (ProblemKind(409, "invalid_request_error", "invalid_request_error", False), "conflict"),
    412: (
        ProblemKind(412, "invalid_request_error", "invalid_request_error", False),
        "settings_changed",
    ),
    413: (
        ProblemKind(413, "invalid_request_error", "request_too_large", False),
        "request_too_large",
    ),
    415: (
        ProblemKind(415, "invalid_request_error", "invalid_request_error", False),
        "unsupported_encoding",
    ),
    428: (
        ProblemKind(428, "invalid_request_error", "invalid_request_error", False),
        "if_match_required",
    ),
    429: (_CONTENDED, "rate_limited"),
    431: (
        ProblemKind(431, "invalid_request_error", "request_too_large", False),
        "headers_too_large",
    ),
    500: (ProblemKind(500, "server_error", "api_error", True), "internal_error"),
    501: (_CANNOT_BE, "unsupported"),  # not implemented by vLLM: a retry does not help
    502: (ProblemKind(502, "server_error", "api_error", True), "bad_gateway"),
    503: (_NOTHING_SERVES, "unavailable"),
}


def answer(rejected: Rejected, family: ApiFamily, *, jitter: Jitter = random.uniform) -> Problem:
    """A refusal with its reason and, if a retry may help, the time to wait.

    `retry-after-ms` is the predicted time until room is free times U(1, 1.5), `Retry-After` the
    same in whole seconds, rounded up, 1..60.
    """
    kind = REASONS[rejected.reason]
    headers = [
        (b"x-sluice-reason", rejected.reason.encode()),
        (b"x-should-retry", _flag(kind.retry)),
    ]
    if kind.retry:
        headers += _when(rejected.retry_after_s, jitter)
    body = _body(family, kind, rejected.message, code=rejected.reason, param=rejected.param)
    return Problem(kind.status, [*_JSON, *headers], body)


def error(
    status: int,
    message: str,
    family: ApiFamily,
    *,
    code: str | None = None,
    param: str | None = None,
) -> Problem:
    """An error other than a refusal, e.g. 404, in the shape of the API.

    An unknown 4xx becomes 400, an unknown 5xx 500: FastAPI's 422 is 400 in OpenAI's API.
    """
    usual = HTTPStatus.BAD_REQUEST if is_callers(status) else HTTPStatus.INTERNAL_SERVER_ERROR
    kind, usual_code = _ERRORS.get(status, _ERRORS[usual])
    headers = [*_JSON, (b"x-should-retry", _flag(kind.retry))]
    body = _body(family, kind, message, code=code or usual_code, param=param)
    return Problem(kind.status, headers, body)


def error_event(problem: Problem, path: str) -> bytes:
    """The last event of a stream that `problem` ends, in the form that clients of `path` expect."""
    if path == "/v1/messages":
        return b"event: error\ndata: " + problem.body + b"\n\n"
    if path == "/v1/responses":
        fault = json.loads(problem.body)["error"]
        told = {"type": "error", "code": fault["code"], "message": fault["message"], "param": None}
        return b"event: error\ndata: " + json.dumps(told).encode() + b"\n\n"
    return b"data: " + problem.body + b"\n\ndata: [DONE]\n\n"


def is_callers(status: int) -> bool:
    """True for 4xx, False for 5xx."""
    return status < HTTPStatus.INTERNAL_SERVER_ERROR


_JSON = [(b"content-type", b"application/json")]


def _flag(value: bool) -> bytes:
    return b"true" if value else b"false"


def _when(retry_after_s: float | None, jitter: Jitter) -> list[tuple[bytes, bytes]]:
    """Capped before the jitter: otherwise all long waits would end at once."""
    known_s = RETRY_UNKNOWN_S if retry_after_s is None else retry_after_s
    base_s = min(max(known_s, RETRY_MIN_S), RETRY_MAX_S / JITTER[1])
    wait_s = base_s * jitter(*JITTER)
    return [
        (b"retry-after", str(max(1, math.ceil(wait_s))).encode()),
        (b"retry-after-ms", str(math.ceil(wait_s * 1000)).encode()),
    ]


def _body(
    family: ApiFamily, kind: ProblemKind, message: str, *, code: str, param: str | None
) -> bytes:
    if family is ApiFamily.ANTHROPIC:
        fault = {"type": kind.anthropic_type, "message": message}
        return json.dumps({"type": "error", "error": fault}).encode()
    fields = {"message": message, "type": kind.openai_type, "param": param, "code": str(code)}
    return json.dumps({"error": fields}).encode()
