"""Watches one engine: sees that it died, asks an idle one for signs of life, ends a lost one."""

import asyncio
import logging
from collections.abc import Callable, Collection

from admission.controller import Controller
from serve.gate.engine_like import Pinged
from serve.observability.metric_table import ENGINE_HANGS
from serve.observability.metrics import Metrics

_log = logging.getLogger("sluice.gate")

_PING_S = 1.0  # real seconds between two pings of an idle engine


class EngineWatch:
    """Tells the controller what became of the engine; each change is one line of the log."""

    def __init__(
        self,
        engine: Pinged,
        controller: Controller,
        metrics: Metrics,
        *,
        now_s: Callable[[], float],
        running: Collection[object],
    ) -> None:
        self._engine = engine
        self._controller = controller
        self._metrics = metrics
        self._now_s = now_s
        self._running = running  # what holds a lease now
        self._hung = False
        self._confirming: asyncio.Task[None] | None = None

    @property
    def healthy(self) -> bool:
        """Whether the engine lives and answers."""
        signs = self._controller.signs
        return not (signs.down or signs.hung or self._engine.errored)

    def look(self) -> None:
        """Heed what has changed; cheap, called before decisions and with every tick."""
        signs = self._controller.signs
        if signs.down:
            return
        if self._engine.errored:
            _log.error("the engine died with %d leases out", len(self._running))
            self._controller.engine_died()
        elif signs.lost:
            _log.error(
                "the engine has given no sign of life for %.0f s: ending it with %d leases out",
                signs.silent_s,
                len(self._running),
            )
            self._controller.engine_died()
            self._engine.kill()
        elif signs.hung != self._hung:
            self._hung = signs.hung
            self._say_hung(signs.silent_s)

    def _say_hung(self, silent_s: float) -> None:
        if self._hung:
            self._metrics.count(ENGINE_HANGS)
            _log.error(
                "the engine has given no sign of life for %.0f s: new requests are answered 503; "
                "%d leases out",
                silent_s,
                len(self._running),
            )
        else:
            _log.warning("the engine answers again: admission goes on")

    def confirm_ends(self) -> None:
        """Have the engine say when it has heard of aborts and stop strings; one question at a time.

        Until then its blocks count as held.
        """
        idle = self._confirming is None or self._confirming.done()
        if idle and self._controller.ends_to_confirm and not self._controller.engine_down:
            self._confirming = asyncio.get_running_loop().create_task(self._confirm_ends())

    async def _confirm_ends(self) -> None:
        while self._controller.ends_to_confirm:
            asked_at_s = self._now_s()
            try:
                await self._engine.ping()
            except Exception as error:  # noqa: BLE001 - asked again with the next tick
                _log.debug("the engine did not confirm aborts: %s", error)
                return
            self._controller.confirm_ends(asked_at_s, self._now_s())

    async def close(self) -> None:
        """Asks nothing more."""
        if self._confirming is not None:
            self._confirming.cancel()
            await asyncio.gather(self._confirming, return_exceptions=True)

    async def ping_on(self) -> None:
        """Pings while the engine is idle, one ping at a time; runs as a task."""
        while True:
            await asyncio.sleep(_PING_S)
            if self._controller.engine_down or not self._controller.engine_idle:
                continue  # its step records are the sign
            try:
                self._controller.pinged(self._now_s())
                await self._engine.ping()
                self._controller.ping_answered(self._now_s())
            except Exception as error:  # noqa: BLE001 - whatever it was, `look` judges the engine
                _log.debug("a ping failed: %s", error)
