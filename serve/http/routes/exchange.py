"""A request to one of the gateway's own routes, and the response to it."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from serve.http.problems import Problem
from serve.visit import ApiFamily, Tenant


@dataclass(frozen=True, slots=True)
class OwnRequest:
    """A request to one of our own routes; `body` is empty if the route takes none."""

    tenant: Tenant
    family: ApiFamily = ApiFamily.OPENAI  # the API whose shapes the caller expects
    path: str = ""
    rules: tuple[str, ...] = ()  # the profile's rules that chose this tenant
    slo_ttft_ms: float | None = None  # the TTFT that the caller asks for in a header
    query: str = ""
    accept: str = ""
    body: dict[str, Any] = field(default_factory=dict)
    text: bytes = b""  # the body as received
    if_match: str | None = None  # the header


@dataclass(frozen=True, slots=True)
class OwnResponse:
    """A complete response that is no problem of the caller's."""

    body: bytes
    status: int = 200
    content_type: str = "application/json"
    etag: str | None = None

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """Lower case, without content-length; not cacheable, as all of it changes."""
        tag = [] if self.etag is None else [(b"etag", f'"{self.etag}"'.encode())]
        kind = self.content_type.encode()
        return [(b"content-type", kind), (b"cache-control", b"no-store"), *tag]


def json_response(document: Any, *, status: int = 200, etag: str | None = None) -> OwnResponse:
    """`document` as JSON; `etag` without its quotes."""
    return OwnResponse(json.dumps(document).encode(), status, etag=etag)


Answer = Callable[[OwnRequest], Awaitable[OwnResponse | Problem]]
