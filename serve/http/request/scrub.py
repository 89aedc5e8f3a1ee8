"""Removes or refuses what a caller may not set in headers and body."""

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Mapping
from typing import Any

from admission.terms import refusals
from admission.terms.decision import Rejected
from serve.http.request.ignored import ignored
from serve.http.request.intake import RawHeaders

# `priority` and the ranks would reorder or place requests without the ledger's knowledge, the
# transfer parameters give access to other requests' caches, and a repeated `request_id` would let
# one caller abort another's request: vLLM aborts by this id.
FIELDS = frozenset(
    {
        "priority",
        "data_parallel_rank",
        "kv_transfer_params",
        "ec_transfer_params",
        "request_id",
    }
)
# vLLM merges these into SamplingParams.extra_args, where it looks for the same names.
_EXTRA_FIELDS = ("vllm_xargs", "extra_args")
_DROPPED_HEADERS = frozenset(
    {
        b"x-vllm-priority",
        b"x-data-parallel-rank",
        # written anew
        b"x-request-id",
        b"content-length",
        b"content-encoding",  # it has been decoded
        b"transfer-encoding",
    }
)

_NOT_IN_IDS = re.compile(r"[^A-Za-z0-9._:-]")
_ID_CHARS = 128  # enough for a UUID with words before it; ids are in every log line

PROCESS_SECRET = secrets.token_bytes(32)  # the cache ends with the process


def scrub_body(body: dict[str, Any]) -> bool:
    """Removes the forbidden fields from `body` in place; True if there were any."""
    changed = _drop(body)
    for name in _EXTRA_FIELDS:
        inner = body.get(name)
        if isinstance(inner, dict):
            changed |= _drop(inner)
    return changed


def unsupported(body: dict[str, Any], route: str) -> Rejected | None:
    """The refusal of a body that would outrun its lease, run in the background or be ignored."""
    if body.get("background"):
        message = "`background: true` is not supported: an answer ends with its connection."
        return refusals.unsupported(message, param="background")
    if body.get("use_beam_search"):
        return refusals.beam_search()
    return ignored(body, route)


def salt_cache(body: dict[str, Any], tenant: str, *, secret: bytes = PROCESS_SECRET) -> None:
    """Sets `cache_salt` so that prefixes are shared inside a tenant only.

    A caller's own salt divides the tenant's cache further; no salt reaches another tenant's.
    vLLM accepts at most 128 characters; this has 64.
    """
    own = body.get("cache_salt")
    text = json.dumps([tenant, own if isinstance(own, str) else None])
    body["cache_salt"] = hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()


def scrub_headers(raw: RawHeaders, *, request_id: str, body_bytes: int) -> RawHeaders:
    """The headers for vLLM: with our request id, and the length of the body we send."""
    return [
        *((name, value) for name, value in raw if name.lower() not in _DROPPED_HEADERS),
        (b"x-request-id", request_id.encode()),
        (b"content-length", str(body_bytes).encode()),
    ]


def with_trace(raw: RawHeaders, trace: Mapping[str, str]) -> RawHeaders:
    """`raw` with the trace context in place of the caller's; empty `trace` changes nothing."""
    names = {name.encode() for name in trace}
    return [
        *((name, value) for name, value in raw if name.lower() not in names),
        *((name.encode(), value.encode()) for name, value in trace.items()),
    ]


def request_id_of(headers: Mapping[str, str]) -> str:
    """The caller's `x-request-id`, shortened, or a new one; names the request in our logs.

    Control characters are removed: ids appear in plain log lines, too.
    """
    given = headers.get("x-request-id", "")[:_ID_CHARS]
    return "".join(c for c in given if c.isprintable()) or secrets.token_hex(16)


def engine_id_for(request_id: str) -> str:
    """The id inside vLLM: the caller's id with a unique part, since callers repeat theirs."""
    return f"{_NOT_IN_IDS.sub('_', request_id)}-{secrets.token_hex(8)}"


def _drop(fields: dict[str, Any]) -> bool:
    found = FIELDS & fields.keys()
    for name in found:
        del fields[name]
    return bool(found)
