"""While no replica runs, callers hear so at once and in their own API's shape."""

import json
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from serve.http.server.no_replica import NoReplica


async def _serves_own(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"success"})


async def _get(path: str) -> tuple[int, dict[bytes, bytes], bytes]:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: dict[str, Any] = {"type": "http", "method": "POST", "path": path, "headers": []}
    await NoReplica(_serves_own)(scope, receive, send)
    start, body = sent
    return start["status"], dict(start["headers"]), body["body"]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/v1/chat/completions", "service_unavailable_error"),
        ("/v1/messages", "overloaded_error"),
        ("/health", "service_unavailable_error"),
    ],
)
async def test_everything_is_503_with_the_time_to_come_back(path: str, kind: str) -> None:
    status, headers, body = await _get(path)
    assert status == 503
    assert json.loads(body)["error"]["type"] == kind
    assert headers[b"x-sluice-reason"] == b"engine_down"
    assert 1 <= int(headers[b"retry-after"]) <= 60
    assert int(headers[b"content-length"]) == len(body)


async def test_haproxys_checks_of_the_proxy_pass() -> None:
    assert await _get("/-/healthz") == (200, {}, b"success")
