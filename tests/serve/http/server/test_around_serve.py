"""Serve leaves the caller's hang-up to our edge."""

import pytest
from starlette.types import Message, Receive, Scope, Send

from serve.http.server.around_serve import WithoutServesListening


# Ray warns while it is imported
@pytest.mark.filterwarnings("ignore")
async def test_serve_is_told_not_to_listen_for_hang_ups() -> None:
    from ray.serve._private.http_util import (  # noqa: PLC0415 - see above
        parse_disconnect_disabled_header,
    )

    seen: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        raise AssertionError(message)

    headers = [(b"host", b"here")]
    await WithoutServesListening(app)({"type": "http", "headers": headers}, receive, send)
    (scope,) = seen
    assert (b"host", b"here") in scope["headers"]
    assert parse_disconnect_disabled_header(dict(scope["headers"])), "Serve has renamed its header"
    assert headers == [(b"host", b"here")]


async def test_headers_that_serve_obeys_or_cannot_read_do_not_reach_it() -> None:
    seen: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        raise AssertionError(message)

    kept = [(b"x-request-id", "café".encode()), (b"x-session-id", b"s")]
    dropped = [
        (b"x-request-timeout-seconds", b"0.001"),
        (b"X_Request_Timeout_Seconds", b"0.001"),
        (b"serve-multiplexed-model-id", b"m"),
        (b"x-request-disconnect-disabled", b"?0"),
        (b"x-request-id", b"caf\xe9"),
        (b"\xff", b"x"),
    ]
    await WithoutServesListening(app)({"type": "http", "headers": [*kept, *dropped]}, receive, send)
    (scope,) = seen
    assert scope["headers"][:-1] == kept
