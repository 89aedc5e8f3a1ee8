"""One request's life in vLLM's app: it runs as a task of its own and is released in one place."""

import asyncio
import logging

from starlette.types import ASGIApp, Scope

from serve.http.connection import ClientConnection
from serve.http.gate_like import GateLike
from serve.http.http_request import HttpRequest
from serve.http.problems import answer
from serve.http.request.scrub import with_trace
from serve.http.response.reply import Reply
from serve.observability.tracing import Tracing
from serve.visit import VISIT, Visit

_log = logging.getLogger(__name__)

_CALLERS = range(400, 500)  # statuses
GRACE_S = 2.0  # vLLM ends within milliseconds of a disconnect


class Lifecycle:
    """Runs the app so that a cancellation cannot separate it from its lease.

    Ray Serve cancels our call when vLLM gets the disconnect, and vLLM does not cancel its own work
    when it is cancelled. So the app runs in a task that is not cancelled from outside: a
    cancellation of ours becomes the disconnect that vLLM listens for. Only an app that does not
    end by that is cancelled, and only then is the lease released.
    """

    def __init__(
        self, inner: ASGIApp, gate: GateLike, tracing: Tracing, *, grace_s: float = GRACE_S
    ) -> None:
        self._inner = inner
        self._gate = gate
        self._tracing = tracing
        self._grace_s = grace_s

    async def run(
        self,
        call: HttpRequest,
        caller: ClientConnection,
        reply: Reply,
        scope: Scope,
        *,
        body_chars: int = 0,
    ) -> None:
        """Returns when the answer is sent and nothing of the request is left in the engine.

        With a visit on `call` the request needs a lease. Raises what interrupted an answer,
        so that the server cuts the connection; CancelledError after the clean-up.
        """
        life = asyncio.create_task(self._life(call, caller, reply, scope, body_chars))
        cancelled = False
        while not life.done():
            try:
                await asyncio.wait({life})
            except asyncio.CancelledError:
                cancelled = True
                caller.hang_up()
        if cancelled:
            _note(life)
            raise asyncio.CancelledError
        life.result()

    async def refuse(self, call: HttpRequest, reply: Reply) -> None:
        """Answers with the verdict on the visit.

        Needs no task, as nothing was started. Under overload most requests end here.
        """
        with self._tracing.request(call):
            await self._tell(call, reply)

    async def _tell(self, call: HttpRequest, reply: Reply) -> None:
        if call.verdict is not None:
            await reply.problem(answer(call.verdict, call.family))

    async def _life(
        self,
        call: HttpRequest,
        caller: ClientConnection,
        reply: Reply,
        scope: Scope,
        body_chars: int,
    ) -> None:
        visit = call.visit
        if visit is None:
            await self._through_app(call, caller, reply, scope)
            return
        try:
            with self._tracing.request(call) as trace:
                visit.verdict = visit.verdict or self._gate.precheck(visit, body_chars)
                if visit.verdict is not None:
                    await self._tell(call, reply)
                    return
                scope["headers"] = with_trace(scope["headers"], trace)
                await self._through_app(call, caller, reply, scope)
        finally:
            visit.client_left = caller.has_left and not reply.finished
            await self._gate.leave(visit)

    async def _through_app(
        self, call: HttpRequest, caller: ClientConnection, reply: Reply, scope: Scope
    ) -> None:
        app = asyncio.create_task(self._in_app(call, caller, reply, scope))
        listener = asyncio.create_task(caller.listen())
        try:
            await self._until_over(app, call.visit, caller, reply)
            await self._end(app)
        finally:
            listener.cancel()
        if app.done():
            await self._make_good(app, call, caller, reply)

    async def _until_over(
        self, app: asyncio.Task[None], visit: Visit | None, caller: ClientConnection, reply: Reply
    ) -> None:
        """Until the app has ended, the client has disconnected, or the first token is long overdue.

        An overdue request is answered here; the app gets a disconnect.
        """
        over = {app, caller.left}
        while visit is not None:
            left_s = self._gate.overdue_in_s(visit)
            if left_s is None:
                break
            done, _ = await asyncio.wait(over, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
            if done:
                return
            if self._gate.overdue_in_s(visit) == 0.0:  # the gate's clock may have been paused
                await reply.cut_off(self._gate.cut_off(visit))
                caller.hang_up()
                return
        await asyncio.wait(over, return_when=asyncio.FIRST_COMPLETED)

    async def _in_app(
        self, call: HttpRequest, caller: ClientConnection, reply: Reply, scope: Scope
    ) -> None:
        visit = call.visit
        if visit is None:  # a token count: rendering costs as much as for a completion
            async with self._gate.rendering(caller.left) as inside:
                if inside:
                    await self._inner(scope, caller.receive, reply)
            return
        if not await self._gate.place(visit, caller.left):
            await self._tell(call, reply)
            return
        VISIT.set(visit)  # in this task's own context: the hooks in vLLM find it there
        await self._inner(scope, caller.receive, reply)

    async def _end(self, app: asyncio.Task[None]) -> None:
        """Waits for an app after the disconnect, then cancels it."""
        if not app.done():
            await asyncio.wait({app}, timeout=self._grace_s)
        if not app.done():
            app.cancel()
            await asyncio.wait({app}, timeout=self._grace_s)
        if not app.done():
            _log.error("The app ended neither by the disconnect nor by its cancellation: abandoned")

    async def _make_good(
        self, app: asyncio.Task[None], call: HttpRequest, caller: ClientConnection, reply: Reply
    ) -> None:
        """Answers a request that the app left without an answer."""
        fault = None if app.cancelled() else app.exception()
        if fault is not None and call.status in _CALLERS:
            _log.warning("Request %s broke vLLM's parser: %s", call.request_id, fault)
        elif fault is not None:
            _log.error("Request %s failed in the app", call.request_id, exc_info=fault)
        if reply.finished or caller.has_left:
            return
        if reply.started:
            raise ConnectionAbortedError("the app ended in the middle of its answer")
        await reply.failed()


def _note(life: asyncio.Task[None]) -> None:
    """Logs the fault of a request whose call was cancelled."""
    if not life.cancelled() and (fault := life.exception()) is not None:
        _log.error("A request failed after its client had disconnected", exc_info=fault)
