"""What an answer must be, whatever was asked: a status that is documented, and the right shape."""

import json
import re
from collections.abc import Iterator
from typing import Any, NoReturn

from tests.bench.fuzz.case import Case
from tests.bench.fuzz.wire import Answer

_STATUSES = {200, 400, 401, 403, 404, 408, 413, 415, 429, 431, 503}
_DOCUMENTED_503 = {"draining", "engine_down"}
_LAST_OF_RESPONSES = {"response.completed", "response.incomplete", "response.failed"}


def fault_of(case: Case, answer: Answer) -> str | None:
    """What is wrong with `answer`; None when nothing is. Its digits may differ from run to run."""
    if _is_no_http(answer):
        return None  # never reached the gateway
    fault = _fault_of_status(answer)
    if fault is not None:
        return fault
    if answer.status != 200:
        return _fault_of_error(case, answer)
    if answer.headers.get("content-type", "").startswith("text/event-stream"):
        return _fault_of_stream(case, answer)
    return None if answer.cut else _fault_of_json(answer.body, "the answer")


def kind_of(fault: str) -> str:
    """The same for faults of one kind: without numbers and what a caller chose."""
    return re.sub(r"\d+", "#", fault)[:110]


def _is_no_http(answer: Answer) -> bool:
    """Words of HAProxy or the replica's HTTP parser; docs/reference/refusals.md names them."""
    kind = answer.headers.get("content-type", "").partition(";")[0]
    return answer.status in {400, 408, 431} and kind in {"text/html", "text/plain"}


def _fault_of_status(answer: Answer) -> str | None:
    if answer.status not in _STATUSES:
        return f"status {answer.status}: {_words(answer)}"
    if answer.status == 503 and answer.headers.get("x-sluice-reason") not in _DOCUMENTED_503:
        return f"503 without a reason: {_words(answer)}"
    if "x-sluice-config" not in answer.headers:
        return f"status {answer.status} without our headers: {_words(answer)}"
    return None


def _words(answer: Answer) -> str:
    return answer.body[:300].decode("utf-8", "replace")


def _fault_of_error(case: Case, answer: Answer) -> str | None:
    if "prefill;dur" in answer.headers.get("server-timing", ""):
        return f"{answer.status} after tokens were generated: {_words(answer)}"
    fault = _fault_of_json(answer.body, "the error")
    if fault is not None:
        return fault
    document = json.loads(answer.body)
    error = document.get("error") if isinstance(document, dict) else None
    anthropic = case.path.startswith("/v1/messages")
    names = {"type", "message"} if anthropic else {"message", "type", "param", "code"}
    whole = {"type", "error"} if anthropic else {"error"}
    if not isinstance(error, dict) or document.keys() != whole or error.keys() != names:
        return f"{answer.status} in another shape: {_words(answer)}"
    if not isinstance(error["message"], str) or not error["message"].strip():
        return f"{answer.status} without a word: {_words(answer)}"
    return None


def _fault_of_json(text: bytes | str, what: str) -> str | None:
    try:
        json.loads(text, parse_constant=_no_constant)
    except ValueError as fault:
        shown = text if isinstance(text, str) else text.decode("utf-8", "replace")
        return f"{what} is no JSON ({fault}): {shown[:200]}"
    return None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")


def _fault_of_stream(case: Case, answer: Answer) -> str | None:
    last = ""
    for event in _events(answer.body):
        if event == "[DONE]":
            last = event
            continue
        fault = None if answer.cut else _fault_of_json(event, "an event")
        if fault is not None:
            return fault
        document: Any = _json_or_none(event)
        if isinstance(document, dict):
            last = str(document.get("type", ""))
            if document.get("error") or last in {"error", "response.failed"}:
                return f"an error inside a 200: {event[:300]}"
    if answer.cut or last == _end_of(case.path) or last in _LAST_OF_RESPONSES:
        return None
    return f"a stream without its end: ...{answer.body[-200:].decode('utf-8', 'replace')}"


def _events(body: bytes) -> Iterator[str]:
    for line in body.decode("utf-8", "replace").split("\n"):
        if line.startswith("data:"):
            yield line[5:].strip()


def _json_or_none(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _end_of(path: str) -> str:
    return "message_stop" if path.startswith("/v1/messages") else "[DONE]"
