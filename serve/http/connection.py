"""The client's end of one connection: the only reader of ASGI's `receive`."""

import asyncio
import logging
from collections.abc import AsyncIterator

from starlette.types import Message, Receive

_log = logging.getLogger(__name__)


class ClientConnection:
    """Gives the app the body and, once the client has disconnected, `http.disconnect`.

    A disconnect arrives in two ways: as a message, and as the cancellation with which Ray Serve
    ends our call. Both lead to `hang_up`, so the app gets `http.disconnect` for either.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._body: bytes | None = None
        self.left: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def has_left(self) -> bool:
        """True once the client has disconnected."""
        return self.left.done()

    def hang_up(self) -> None:
        """Notes that the client has disconnected."""
        if not self.left.done():
            self.left.set_result(None)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives; ends early on a disconnect."""
        more = True
        while more:
            message = await self._receive()
            if message["type"] != "http.request":
                self.hang_up()
                return
            yield message.get("body", b"")
            more = message.get("more_body", False)

    def give_app(self, body: bytes) -> None:
        """The body that the app will read, in place of what arrived."""
        self._body = body

    async def receive(self) -> Message:
        """ASGI's `receive` for the app: the body once, then the disconnect whenever it comes."""
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await asyncio.shield(self.left)  # the app cancels its own wait only
        return {"type": "http.disconnect"}

    async def listen(self) -> None:
        """Waits for the disconnect; runs as a task once the body has been read."""
        try:
            while (await self._receive())["type"] != "http.disconnect":
                pass  # a late piece of a body that was given up
        except Exception as fault:  # noqa: BLE001 - however it broke, the client is gone
            _log.debug("A connection broke: %s", fault)
        self.hang_up()
