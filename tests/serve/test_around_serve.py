"""Serve leaves the caller's hang-up to our edge."""

import pytest
from starlette.types import Message, Receive, Scope, Send

from serve.http.around_serve import HearsForItself


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
    await HearsForItself(app)({"type": "http", "headers": headers}, receive, send)
    (scope,) = seen
    assert (b"host", b"here") in scope["headers"]
    assert parse_disconnect_disabled_header(dict(scope["headers"])), "Serve has renamed its header"
    assert headers == [(b"host", b"here")]
