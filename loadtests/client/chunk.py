"""What one event of an answer says: tokens, ends, errors, counts. Pure; no shape makes it raise.

Servers that call themselves OpenAI-compatible differ in every field, so that each is read by its
value and not by its presence: null, empty and missing are one and the same.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

# What a user or a program sees of an answer, by the names in use.
_TEXTS = (
    "content",
    "reasoning",
    "reasoning_content",
    "reasoning_text",
    "reasoning_details",
    "thinking",
    "tool_calls",
    "function_call",
    "refusal",
    "audio",
    "text",
)
_NO_TEXT = ("index", "id", "type", "role", "format")  # of the parts that a text is made of
_BAD_END = re.compile(r"error|abort|cancel|fail|time_?out|insufficient|interrupt", re.IGNORECASE)
_SAID_MOST = 160  # characters
_CODE_MOST = 60
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<[^>]*>")


class Fault(NamedTuple):
    """Why an answer failed: a short name that is counted, and the server's words if it has any."""

    code: str
    said: str | None = None


class Counts(NamedTuple):
    """Tokens as the server counts them; None = it does not say."""

    output: int | None
    prompt: int | None
    cached: int | None


def as_object(data: bytes) -> Any:
    """The JSON of an event's data; ValueError where it is none."""
    try:
        return json.loads(data.decode("utf-8", errors="replace"))
    except RecursionError as problem:
        raise ValueError("JSON that is nested too deep") from problem


def choices(event: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Those of an event; of null, of one that is not in a list, of strangers in the list."""
    given = event.get("choices")
    for each in given if isinstance(given, list) else [given]:
        if isinstance(each, Mapping):
            yield each


def text_of(choice: Mapping[str, Any]) -> tuple[str | None, bool]:
    """(the one plain text that it brings, whether it brings any token).

    The text is None where there is more than one, or another kind than a string.
    """
    delta = choice.get("delta") or choice.get("message") or {}
    found = [choice.get("text")]
    if isinstance(delta, Mapping):
        found += [delta.get(name) for name in _TEXTS]
    else:
        found.append(delta)
    full = [each for each in found if _is_full(each)]
    plain = full[0] if len(full) == 1 and isinstance(full[0], str) else None
    return plain, bool(full)


def content_of(choice: Mapping[str, Any]) -> str:
    """What a client puts into the conversation: no reasoning, no tool calls."""
    delta = choice.get("delta") or choice.get("message")
    content = delta.get("content") if isinstance(delta, Mapping) else choice.get("text")
    return content if isinstance(content, str) else ""


def _is_full(value: object) -> bool:
    if isinstance(value, list):
        return any(map(_is_full, value))
    if isinstance(value, Mapping):
        return any(_is_full(part) for name, part in value.items() if name not in _NO_TEXT)
    return isinstance(value, str) and value != ""


def finish_of(choice: Mapping[str, Any]) -> str | None:
    """Why it ended; some servers write "null" for null."""
    reason = choice.get("finish_reason")
    return str(reason) if reason and reason != "null" else None


def bad_end(finish: str) -> Fault | None:
    """A finish_reason that is an apology."""
    return Fault(f"finish_{finish}"[:_CODE_MOST]) if _BAD_END.search(finish) else None


def counts_of(event: Mapping[str, Any]) -> Counts | None:
    """Of the usage, wherever it stands; None where the event has none."""
    usage = _usage(event)
    if usage is None:
        return None
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, Mapping) else None
    return Counts(
        _first_count(usage, "completion_tokens", "output_tokens", "predicted_n"),
        _first_count(usage, "prompt_tokens", "input_tokens", "prompt_n"),
        count(usage.get("prompt_cache_hit_tokens") if cached is None else cached),
    )


def _usage(event: Mapping[str, Any]) -> Mapping[str, Any] | None:
    groq = event.get("x_groq")
    places = (event, *choices(event), groq if isinstance(groq, Mapping) else {})
    for place in places:
        if isinstance(usage := place.get("usage"), Mapping) and usage:
            return usage
    timings = event.get("timings")  # llama.cpp
    return timings if isinstance(timings, Mapping) and timings else None


def _first_count(usage: Mapping[str, Any], *names: str) -> int | None:
    return next((found for name in names if (found := count(usage.get(name))) is not None), None)


def count(value: object) -> int | None:
    """A number of tokens, however it is written; None where it is none."""
    if isinstance(value, str) and value.strip().isdecimal() and len(value) < _CODE_MOST:
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return int(value) if value >= 0 and value == int(value) else None


def fault_of(event: Mapping[str, Any], *, named_error: bool = False) -> Fault | None:
    """The error that an event is, in any of the shapes in use; None where it is none.

    `named_error`: the stream called the event `error`, so it is one whatever it looks like.
    """
    for name in ("error", "errors"):
        if (fault := _fault(event.get(name))) is not None:
            return fault
    status = event.get("base_resp")
    if isinstance(status, Mapping) and status.get("status_code"):
        return _fault(status)
    if named_error or event.get("object") == "error" or event.get("type") == "error":
        return _fault(event) or Fault("error")
    if any(True for _ in choices(event)) or event.get("usage") or _is_well(event):
        return None
    return _fault(event) if any(event.get(name) for name in (*_WORDS, "error_code")) else None


def _is_well(event: Mapping[str, Any]) -> bool:
    """Whether it says of itself that it is no error, e.g. a ping."""
    return any(str(event.get(name)).lower() in _WELL for name in ("type", "status", "code"))


def _fault(error: object) -> Fault | None:
    """Of an error's value. One that says nothing is none: null, "", {}, false."""
    if isinstance(error, list):
        return next((found for each in error if (found := _fault(each)) is not None), None)
    if isinstance(error, Mapping):
        if not any(error.values()):
            return None
        said = _words(error)
        code = next((_short(error[name]) for name in _CODES if _is_code(error.get(name))), None)
        return Fault(code or said or "error", said)
    if not error:
        return None
    return Fault(_short(error), readable(str(error)))


_CODES = ("code", "error_code", "status_code", "type", "status", "err_code")
_WELL = {
    *("ping", "heartbeat", "keepalive", "keep-alive", "ok", "success", "info", "pending"),
    *("queued", "processing", "in_progress", "0", "200"),
}
_WORDS = ("message", "msg", "detail", "error_msg", "error_message", "status_msg", "error")


def _is_code(value: object) -> bool:
    if isinstance(value, bool) or value == "error":
        return False
    return bool(value) and isinstance(value, str | int)


def _words(error: Mapping[str, Any]) -> str | None:
    told = next((error[name] for name in _WORDS if error.get(name)), None)
    if isinstance(told, list | Mapping):
        told = json.dumps(told, default=str)
    return None if told is None else readable(str(told))


def _short(value: object) -> str:
    return readable(str(value))[:_CODE_MOST]


def readable(text: str) -> str:
    """One line for a terminal, of a page its title."""
    if text.lstrip().startswith("<"):
        title = _TITLE.search(text)
        text = title.group(1) if title else _TAG.sub(" ", text)
    printable = "".join(each if each.isprintable() else " " for each in text[: 8 * _SAID_MOST])
    return " ".join(printable.split())[:_SAID_MOST]
