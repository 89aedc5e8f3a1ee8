"""A request to one of our own routes, and a whole answer to it."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from serve.http.problems import Problem
from serve.visit import Family, Tenant


@dataclass(frozen=True, slots=True)
class Question:
    """A request to one of our routes; `body` is empty where the route takes none."""

    tenant: Tenant
    family: Family = Family.OPENAI  # whose shapes the caller reads
    path: str = ""
    rules: tuple[str, ...] = ()  # of the profile, that made the key's tenant this one
    slo_ttft_ms: float | None = None  # the header: the first token is wanted within
    query: str = ""
    accept: str = ""
    body: dict[str, Any] = field(default_factory=dict)
    text: bytes = b""  # the body as it came
    if_match: str | None = None  # the header


@dataclass(frozen=True, slots=True)
class Page:
    """A whole answer that is no error of the caller's."""

    body: bytes
    status: int = 200
    content_type: str = "application/json"
    etag: str | None = None

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """Lower case, without content-length; never cached, as all of it changes."""
        tag = [] if self.etag is None else [(b"etag", f'"{self.etag}"'.encode())]
        kind = self.content_type.encode()
        return [(b"content-type", kind), (b"cache-control", b"no-store"), *tag]


def json_page(document: Any, *, status: int = 200, etag: str | None = None) -> Page:
    """`document` as JSON; `etag` without its quotes."""
    return Page(json.dumps(document).encode(), status, etag=etag)


Answer = Callable[[Question], Awaitable[Page | Problem]]
