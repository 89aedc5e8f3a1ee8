"""Admission for one running engine: asyncio around the synchronous desk.

The desk decides in plain calls; here requests wait for their turn and for a place to render in,
time passes, and what was granted is given back. Everything runs on one event loop, so a decision
and its place in the ledger are one step that nothing interrupts.
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Hashable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from admission.gates.heartbeat import Patience
from admission.price.footprint import RequestShape
from admission.price.offer import Offer
from admission.queue.budgets import Standing
from admission.terms import refusals
from admission.terms.decision import Rejected
from serve.engine_step import EngineStep
from serve.gate.alarms import Alarms
from serve.gate.decision_log import DecisionLog
from serve.gate.desk import Desk
from serve.gate.engine_like import EngineLike
from serve.gate.engine_watch import EngineWatch
from serve.gate.renderings import Renderings
from serve.gate.steady_clock import SteadyClock
from serve.gate.views import explanation, state
from serve.observability.metric_table import (
    STEP_RECORD_FAILURES,
    UNLEASED_CALLS,
    Sources,
)
from serve.observability.metrics import Metrics
from serve.observability.tracing import Tracing
from serve.profile.admission_section import AdmissionSection
from serve.profile.wall_time import wall_time
from serve.visit import Tenant, Visit

_log = logging.getLogger("sluice.gate")

_TICK_S = 0.05  # deadlines and an idle engine's leftovers are looked at this often
_TICKS_PER_LOOK = 5  # alarms are looked at four times a second


class Gate:
    """One engine's admission. Create it on the loop that serves."""

    def __init__(  # noqa: PLR0913 - the parts that app.py puts together, each named once
        self,
        engine: EngineLike,
        section: AdmissionSection,
        *,
        metrics: Metrics,
        tracing: Tracing | None = None,
        decisions: DecisionLog | None = None,
        max_concurrent_renderings: int = 4,
        patience: Patience | None = None,
        time_scale: float = 1.0,
    ) -> None:
        self._decisions = decisions or DecisionLog()
        self._desk = Desk(
            engine.shape,
            section.settings(),
            metrics=metrics,
            decisions=self._decisions,
            config_hash=section.hash(),
            patience=patience,
            confirms_ends=True,
        )
        self.controller = self._desk.controller
        self._engine = engine
        self._draining_since: str | None = None
        self._ending = False
        self._metrics = metrics
        self._tracing = tracing or Tracing()
        self.time_scale = time_scale
        self._loop = asyncio.get_running_loop()
        self._renderings = Renderings(max_concurrent_renderings, self._loop.time, self._may_render)
        self._turns: dict[Visit, asyncio.Future[None]] = {}
        self._alarms = Alarms()
        metrics.read_from(self.sources)
        self._clock = SteadyClock()
        self._engine_watch = EngineWatch(
            engine, self.controller, metrics, now_s=self.now_s, running=self._desk.running
        )
        self._ticker = self._loop.create_task(self._tick_on())
        self._pinger = self._loop.create_task(self._engine_watch.ping_on())

    # -- the clock -------------------------------------------------------------------------

    def now_s(self) -> float:
        """Monotonic, in modelled seconds; stands still while this process does."""
        return self._clock.at(self._loop.time()) * self.time_scale

    async def _tick_on(self) -> None:
        count = 0
        while True:
            await asyncio.sleep(_TICK_S)
            count += 1
            try:
                self._engine_watch.look()
                self._engine_watch.confirm_ends()
                self._wake(self._desk.tick(self.now_s()))
                if count % _TICKS_PER_LOOK == 0:
                    self._alarms.look(self.controller.snapshot())
            except Exception:  # noqa: BLE001 - the ticker must outlive one bad tick
                _log.exception("a tick failed")

    async def close(self) -> None:
        """Stop ticker and pinger; the engine is the caller's to end."""
        self._ticker.cancel()
        self._pinger.cancel()
        await asyncio.gather(self._ticker, self._pinger, return_exceptions=True)
        await self._engine_watch.close()

    # -- before the answer -----------------------------------------------------------------

    def deadline_s(self, requested_ms: float | None) -> float:
        """Seconds from arrival to the first token: as asked for, capped, or the profile's."""
        settings = self.controller.settings
        if requested_ms is None:
            return settings.ttft_deadline_s
        return min(requested_ms / 1000, settings.ttft_deadline_max_s)

    def precheck(self, visit: Visit, body_chars: int) -> Rejected | None:
        """What needs no tokens to be refused."""
        self._engine_watch.look()
        return self._desk.precheck(visit, body_chars, self.now_s())

    def late(self, visit: Visit) -> bool:
        """Whether it is refused because its first token is late whatever its body asks for.

        What this refuses, `admit` would refuse as well, had it been rendered now.
        """
        self._engine_watch.look()
        refusal = self._desk.late(visit, self.now_s())
        if refusal is None and self._renderings.wait_s * self.time_scale > self._left_s(visit):
            refusal = _too_many_renderings(visit)
        if refusal is not None:
            self.refuse(visit, refusal)
        return refusal is not None

    def _left_s(self, visit: Visit) -> float:
        return max(0.0, visit.due_at_s - self.now_s())

    async def place(self, visit: Visit, left: asyncio.Future[None]) -> bool:
        """A place to render in, until `rendered`, `admit` or `leave`; False when it is refused.

        So it is when its deadline passes first, or when those before it took the queue. One whose
        client has `left` gets neither place nor verdict.
        """
        within_s = self._left_s(visit) / self.time_scale
        in_time = await self._renderings.enter(visit, within_s=within_s, unless=left)
        if not (in_time or left.done() or visit.verdict):
            self.refuse(visit, _too_many_renderings(visit))
        return in_time

    @asynccontextmanager
    async def rendering(self, left: asyncio.Future[None]) -> AsyncIterator[bool]:
        """A place to render in for what holds nothing else; False: its caller has `left` first."""
        place = object()
        try:
            yield await self._renderings.enter(place, unless=left)
        finally:
            self._renderings.leave(place)

    def rendered(self, visit: Visit) -> None:
        """Its prompt is rendered and its form has still to be compiled: others may render."""
        self._renderings.leave(visit, rendered=True)

    def _may_render(self, who: Hashable, inside: int) -> bool | None:
        """For `Renderings`: None where it comes too late if all inside join the queue before it."""
        if not isinstance(who, Visit):
            return True  # an explanation
        refusal = self._desk.late(who, self.now_s())
        if refusal is not None:
            self.refuse(who, refusal)
            return False
        crowded = inside and self._desk.late(who, self.now_s(), behind=inside)
        return None if crowded else True

    def refuse(self, visit: Visit, refusal: Rejected) -> None:
        """Put a verdict on the visit and count it."""
        self._desk.refuse(visit, refusal)

    async def admit(self, visit: Visit, shape: RequestShape) -> bool:
        """Offer the request; returns once it holds a lease (True) or is refused (False)."""
        with self._tracing.admission(visit):
            decided = self._desk.arrive(visit, shape, self.now_s())
            self._renderings.leave(visit, rendered=True)
            if not decided:
                await self._turn_of(visit)
            return visit.verdict is None

    async def _turn_of(self, visit: Visit) -> None:
        turn = self._turns[visit] = self._loop.create_future()
        try:
            await turn
        except asyncio.CancelledError:
            self._leave_queue(visit)
            raise

    def _leave_queue(self, visit: Visit) -> None:
        self._turns.pop(visit, None)
        self._desk.leave_queue(visit, self.now_s())

    def _wake(self, visits: Sequence[Visit]) -> None:
        """Wake the tasks of those whose turn came.

        The lease is on the visit already: a client that leaves in this instant gives it back.
        """
        for visit in visits:
            turn = self._turns.pop(visit)
            if not turn.done():
                turn.set_result(None)

    # -- while it runs ---------------------------------------------------------------------

    def starting(self, visit: Visit, engine_id: str, shape: RequestShape) -> None:
        """An engine request of the visit begins."""
        self._desk.starting(visit, engine_id, shape, self.now_s())

    def unleased(self) -> None:
        """An engine call without a lease was refused."""
        self._metrics.count(UNLEASED_CALLS)

    def stepped(self, step: EngineStep) -> None:
        """One engine step: correct the ledger, teach the lengths, let the queue move."""
        self._wake(self._desk.stepped(step, self.now_s()))
        self._engine_watch.confirm_ends()

    def step_lost(self) -> None:
        """The ledger did not follow a step of the engine."""
        self._metrics.count(STEP_RECORD_FAILURES)

    def prefill_s(self, visit: Visit) -> float | None:
        """Seconds from acceptance to the first token, as the engine measured; None until known."""
        return visit.prefill_s

    def standing(self, tenant: Tenant) -> Standing | None:
        """What is left of a tenant's budgets per minute; None where it has none."""
        return self.controller.standing(tenant.name, self.now_s())

    def overdue_in_s(self, visit: Visit) -> float | None:
        """Real seconds until a request without a first token is cut off; 0 = now, None = never."""
        at_s = self._desk.overdue_at_s(visit)
        return None if at_s is None else max(0.0, at_s - self.now_s()) / self.time_scale

    def cut_off(self, visit: Visit) -> Rejected:
        """The verdict on an overdue request: the engine is down, or slower than predicted."""
        return self._desk.cut_off(visit, self.now_s())

    # -- the way out -----------------------------------------------------------------------

    async def leave(self, visit: Visit) -> None:
        """Abort what the visit started and is unfinished, then give its lease back. Once."""
        if visit.released:
            return
        visit.released = True  # from here on the engine client refuses it
        self._renderings.leave(visit)
        self._leave_queue(visit)
        if visit.lease_id is None:
            return
        if visit.engine_ids:
            await self._engine.abort(visit.engine_ids)
        self._wake(self._desk.leave(visit, self.now_s()))
        self._engine_watch.confirm_ends()

    # -- for ops ---------------------------------------------------------------------------

    @property
    def healthy(self) -> bool:
        """False while the engine is dead or gives no sign of life."""
        return self._engine_watch.healthy

    @property
    def lost(self) -> bool:
        """Whether the engine is gone for good: only another replica serves again."""
        return self.controller.engine_down or self._engine.errored

    @property
    def draining(self) -> bool:
        """Whether `drain` was called."""
        return self.controller.draining

    def drain(self, *, final: bool = False) -> None:
        """Admit nothing more; what runs ends by itself, what waits is told to go elsewhere.

        A `final` one, of a gateway that ends, is not undone.
        """
        self._ending = self._ending or final
        self._draining_since = self._draining_since or wall_time()
        self._wake(self._desk.drain(self.now_s(), draining=True))

    def resume(self) -> bool:
        """Admit again; False, and nothing is changed, when the gateway is ending."""
        if self._ending:
            return False
        self._draining_since = None
        self._wake(self._desk.drain(self.now_s(), draining=False))
        return True

    @property
    def replica(self) -> str:
        """Names this start of one engine, as in the decision log."""
        return self._decisions.replica

    def settings_hash(self) -> str:
        """Of the admission section in force."""
        return self._desk.config_hash

    def reconfigure(self, section: AdmissionSection) -> None:
        """New settings, already validated, from now on."""
        settings, config_hash = section.settings(), section.hash()
        self._wake(self._desk.reconfigure(settings, config_hash, self.now_s()))

    def state(self) -> dict[str, Any]:
        """Budgets, leases by tenant and the queue; bounded in size."""
        return state(self.controller, self._desk.running, now_s=self.now_s()) | {
            "time_scale": self.time_scale,
            "unfinished_sequences": self._engine.unfinished,
            "ledger_check": self._desk.agreement.as_json(),
            "config": {"hash": self.settings_hash()},
            "replica": self.replica,
            "draining_since": self._draining_since,
        }

    def sources(self) -> Sources:
        """What the metrics read with each scrape."""
        return Sources(self.controller.snapshot())

    def shadow(self) -> dict[str, Any]:
        """What mode shadow would have refused, and how it ended, since these settings hold."""
        told = {"mode": self.controller.settings.mode, "config_hash": self.settings_hash()}
        return told | self._desk.shadow_report.as_json()

    def fault_in(self, route: str, body: dict[str, Any]) -> str | None:
        """What the engine's parser finds wrong with a body of one of its routes; None: nothing."""
        return self._engine.fault_in(route, body)

    async def models(self) -> list[dict[str, Any]]:
        """What is served, in OpenAI's shape."""
        return await self._engine.models()

    async def explain(
        self,
        route: str,
        body: dict[str, Any],
        tenant: Tenant,
        requested_ms: float | None = None,
    ) -> dict[str, Any]:
        """What a body would cost and be answered, without running it.

        `requested_ms`: the TTFT that its caller asks for; None: the default deadline.
        """
        place = object()
        await self._renderings.enter(place)
        try:
            waits = partial(self._renderings.leave, place, rendered=True)
            shape = await self._engine.shape_of_body(route, body, waits=waits)
        finally:
            self._renderings.leave(place)
        hopeless = self.controller.hopeless(shape)
        if hopeless:
            raise ValueError(hopeless.message)
        now_s = self.now_s()
        due_at_s = now_s + self.deadline_s(requested_ms)
        offer = Offer(tenant.name, tenant.priority, shape, now_s, due_at_s)
        return explanation(self.controller, offer, now_s)


def _too_many_renderings(visit: Visit) -> Rejected:
    retry_after_s = 1.0 + random.random()  # noqa: S311 - spreads the herd, no secret
    return refusals.not_rendered(visit.deadline_s, retry_after_s=retry_after_s)
