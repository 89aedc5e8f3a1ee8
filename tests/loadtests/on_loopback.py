"""An aiohttp application on a thread of its own."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web


@contextmanager
def on_loopback(app: web.Application, *, cancels: bool = False) -> Iterator[int]:
    """The free port of loopback at which it answers; `cancels` handlers whose client has left."""
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=cancels)
    loop, started = asyncio.new_event_loop(), threading.Event()

    async def start() -> None:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        started.set()

    def run() -> None:
        loop.run_until_complete(start())
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    if not started.wait(10):
        raise RuntimeError("the endpoint did not start")
    try:
        yield runner.addresses[0][1]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
