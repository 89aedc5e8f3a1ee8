"""Reads headers and body of a request within limits, and parses the JSON object."""

import asyncio
import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NoReturn

from serve.http.connection import ClientConnection
from serve.http.problems import Problem, error
from serve.http.request.encodings import (
    ACCEPTED,
    TooLargeError,
    UnknownEncodingError,
    WrongEncodingError,
    decoded,
    encodings_of,
)
from serve.profile.sections import HttpSection
from serve.visit import ApiFamily

RawHeaders = list[tuple[bytes, bytes]]

BODY_TIMEOUT_S = 60.0  # a slow body holds one of Serve's request slots; proxies allow as much
# Read and discarded beyond the limit: a client that sends everything before it reads would
# otherwise see a broken connection instead of the answer. Beyond this the connection is cut.
DISCARD_BYTES = 33_554_432
_HEADER_OVERHEAD_BYTES = 4  # ": " and the end of the line, as HAProxy counts them

# Keys whose text always becomes part of the prompt. Tools and documents are left out, as the chat
# template decides about them, and so are images.
_PROMPT_KEYS = ("messages", "input", "system", "instructions")
_TEXT_KEYS = ("content", "text")
_MANY_DIGITS = re.compile(r"\d{19}")  # the exact check takes long, so only such bodies get it
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")  # escaped: half of a pair, or a pair


@dataclass(frozen=True, slots=True)
class Body:
    """A request body as received, and its JSON object; both empty without a body."""

    text: bytes = b""
    fields: dict[str, Any] = field(default_factory=dict)


def headers_of(raw: RawHeaders) -> dict[str, str]:
    """Headers by lower-case name; the first of repeated ones counts."""
    headers: dict[str, str] = {}
    for name, value in raw:
        headers.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))
    return headers


def check_headers(raw: RawHeaders, limits: HttpSection, family: ApiFamily) -> Problem | None:
    """431 when names and values together are over the limit."""
    size = sum(len(name) + len(value) + _HEADER_OVERHEAD_BYTES for name, value in raw)
    if size <= limits.max_header_bytes:
        return None
    limit = limits.max_header_bytes
    return error(431, f"Request headers are larger than {limit} bytes.", family)


async def read_body(
    caller: ClientConnection, declared: str | None, limits: HttpSection, family: ApiFamily
) -> bytes | Problem:
    """The whole body, or the problem with it. `declared` is content-length, absent when chunked.

    Nothing is kept of a body over the limit. If the client disconnects, the body is what has
    arrived so far: no answer will be read.
    """
    limit = limits.max_body_bytes
    if declared is not None and declared.isdecimal() and int(declared) > limit + DISCARD_BYTES:
        return _too_large(limits, family)
    body, size = bytearray(), 0
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for chunk in caller.chunks():
                size += len(chunk)
                if size <= limit:
                    body += chunk
                elif size > limit + DISCARD_BYTES:
                    break
    except TimeoutError:
        return error(408, f"Request body took longer than {BODY_TIMEOUT_S:.0f} s.", family)
    return _too_large(limits, family) if size > limit else bytes(body)


async def decode_body(
    body: bytes, raw: RawHeaders, limits: HttpSection, family: ApiFamily
) -> bytes | Problem:
    """`body` without its content encodings; the body limit holds for the decoded size, too."""
    named = [v.decode("latin-1") for name, v in raw if name.lower() == b"content-encoding"]
    if not named or not body:
        return body
    try:
        encodings = encodings_of(named)
        if not encodings:
            return body
        most = limits.max_body_bytes
        return await asyncio.to_thread(decoded, body, encodings, max_bytes=most)
    except UnknownEncodingError as fault:
        message = f"Content-Encoding {fault} is not supported; send one of {ACCEPTED}."
        problem = error(415, message, family, param="content-encoding")
        headers = [*problem.headers, (b"accept-encoding", ACCEPTED.encode())]
        return Problem(problem.status, headers, problem.body)
    except WrongEncodingError as fault:
        message = f"Request body is not what Content-Encoding says: {fault}"
        return error(400, message, family, param="content-encoding")
    except TooLargeError:
        return _too_large(limits, family)


def _too_large(limits: HttpSection, family: ApiFamily) -> Problem:
    return error(413, f"Request body is larger than {limits.max_body_bytes} bytes.", family)


def parse_body(body: bytes, limits: HttpSection, family: ApiFamily) -> dict[str, Any] | Problem:
    """The JSON object in `body`, or a 400.

    vLLM parses the same bytes with the same parser, so of a repeated key both see the last one.
    """
    too_deep = f"Request body is nested deeper than {limits.max_json_depth} levels."
    try:
        text = body.decode(json.detect_encoding(body))
        whole = _in_64_bits if _MANY_DIGITS.search(text) else None
        document = json.loads(
            text, parse_constant=_no_constant, parse_float=_finite, parse_int=whole
        )
        if _SURROGATE.search(text):
            json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return error(400, "Request body has half a surrogate pair: it is no text.", family)
    except RecursionError:
        return error(400, too_deep, family)
    except ValueError as fault:  # also bad UTF-8 and numbers of thousands of digits
        return error(400, f"Request body is not valid JSON: {fault}", family)
    if not isinstance(document, dict):
        return error(400, "Request body must be a JSON object.", family)
    if depth_of(document) > limits.max_json_depth:
        return error(400, too_deep, family)
    return document


def depth_of(document: object) -> int:
    """Levels of nesting; a scalar has none, `{}` has one. No recursion, so no depth is too deep."""
    depth = 0
    level = _containers((document,))
    while level:
        depth += 1
        level = [
            inner
            for outer in level
            for inner in _containers(outer.values() if isinstance(outer, dict) else outer)
        ]
    return depth


def prompt_chars(body: dict[str, Any]) -> int:
    """A lower bound of the characters that become the prompt.

    Of several prompts the longest counts; a prompt that may be truncated counts as 0. So a request
    that is refused by this number could never have run.
    """
    if body.get("truncate_prompt_tokens") is not None or body.get("truncation") == "auto":
        return 0
    together = sum(_chars(body.get(key)) for key in _PROMPT_KEYS)
    prompt = body.get("prompt")
    several = prompt if isinstance(prompt, list) else [prompt]
    return together + max((len(p) for p in several if isinstance(p, str)), default=0)


def slo_ttft_ms(headers: dict[str, str], family: ApiFamily) -> float | Problem | None:
    """`x-slo-ttft-ms`: milliseconds from arrival to the first token that the caller accepts."""
    text = headers.get("x-slo-ttft-ms")
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if math.isfinite(value) and value > 0:
        return value
    message = "Header x-slo-ttft-ms must be a positive number of milliseconds."
    return error(400, message, family, param="x-slo-ttft-ms")


def _containers(values: Iterable[object]) -> list[dict[str, Any] | list[Any]]:
    return [value for value in values if isinstance(value, dict | list)]


def _chars(value: object) -> int:
    """Characters of `value` when it is text, else of all text under `_TEXT_KEYS` inside it."""
    if isinstance(value, str):
        return len(value)
    chars = 0
    level = _containers((value,))
    while level:
        inner: list[object] = []
        for outer in level:
            if isinstance(outer, dict):
                chars += sum(len(t) for k in _TEXT_KEYS if isinstance(t := outer.get(k), str))
                inner += outer.values()
            else:
                inner += outer
        level = _containers(inner)
    return chars


def _in_64_bits(digits: str) -> int:
    """Whether all integers fit in 64 bits: vLLM's MessagePack has no larger ones."""
    value = int(digits)
    if not -(2**63) <= value < 2**64:
        raise ValueError(f"{digits[:20]}... is no integer of 64 bits")
    return value


def _finite(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ValueError(f"{digits[:20]} is out of range")
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")
