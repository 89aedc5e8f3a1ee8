"""The access log: one line per request, with everything about it except its text."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from serve.http.http_request import CLIENT_LEFT_STATUS, HttpRequest

_PROBES = frozenset({"/health", "/metrics"})  # asked every few seconds
_PATH_CHARS = 200  # of a path that is not on the allow-list: callers choose it freely


def worth_a_line(call: HttpRequest) -> bool:
    """False for a probe that succeeded: these would bury the requests."""
    return call.path not in _PROBES or call.status != HTTPStatus.OK


def access_line(call: HttpRequest, *, ended_at_s: float) -> dict[str, Any]:
    """The line of one ended request; `_s` are modelled seconds from its arrival."""
    line = {
        "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "id": call.request_id,
        "tenant": call.charged.name,
        "method": call.method,
        "route": call.path[:_PATH_CHARS],
        "status": CLIENT_LEFT_STATUS if call.status is None else call.status,
        "duration_s": round(ended_at_s - call.arrived_at_s, 6),
    }
    visit = call.visit
    if visit is None:
        return line
    first_byte_at_s = visit.first_byte_at_s
    return line | {
        "priority": visit.tenant.priority,
        "reason": None if visit.verdict is None else visit.verdict.reason,
        "run": visit.run,
        "deadline_s": visit.deadline_s,
        "queued_s": round(visit.queued_s, 6),
        "first_byte_s": None if first_byte_at_s is None else _since(call, first_byte_at_s),
        "prompt_tokens": visit.prompt_tokens,
        "output_tokens": visit.output_tokens,
        "finish": visit.finish,
        "client_left": visit.client_left,
    }


def _since(call: HttpRequest, at_s: float) -> float:
    return round(at_s - call.arrived_at_s, 6)
