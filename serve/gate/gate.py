"""Admission for one running engine: asyncio around the pure controller.

The controller decides in plain calls; here requests wait for their turn, engine steps are passed
in, and what was granted is given back. Everything runs on one event loop, so a decision and its
place in the ledger are one step that nothing interrupts.
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable, Hashable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from admission.controller import Controller
from admission.exchange import Turn
from admission.gates.heartbeat import Patience
from admission.price.footprint import EngineShape, RequestShape
from admission.price.offer import Offer, Quote
from admission.queue.budgets import Standing
from admission.terms.decision import Accepted, Decision, Limit, Outcome, Queued, Reason, Rejected
from admission.terms.settings import Mode
from serve.engine_step import EngineStep
from serve.gate.alarms import Alarms
from serve.gate.decision_log import DecisionLog
from serve.gate.engine_watch import EngineWatch, Pinged
from serve.gate.in_flight import InFlight
from serve.gate.renderings import Renderings
from serve.gate.shadow_watch import ShadowWatch
from serve.gate.steady_clock import SteadyClock
from serve.gate.views import explanation, state
from serve.observability.metric_table import (
    DECISIONS,
    OVERDUE,
    QUEUE_WAIT,
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


class EngineLike(Pinged, Protocol):
    """What the gate needs of the engine."""

    shape: EngineShape

    @property
    def unfinished(self) -> int:
        """Sequences it has not finished."""
        ...

    async def abort(self, engine_ids: Sequence[str]) -> int:
        """End those requests that are unfinished; returns how many there were."""
        ...

    async def shape_of_body(
        self, route: str, body: dict[str, Any], *, waits: Callable[[], None]
    ) -> RequestShape:
        """Shape of a body that is not run; ValueError when it is invalid.

        Calls `waits` when it is rendered and what is left takes longer.
        """
        ...

    async def models(self) -> list[dict[str, Any]]:
        """The models that it serves, in OpenAI's shape."""
        ...

    def fault_in(self, route: str, body: dict[str, Any]) -> str | None:
        """What its parser finds wrong with a body of one of its routes; None: nothing."""
        ...


@dataclass(frozen=True, slots=True)
class _Waiting:
    visit: Visit
    offer: Offer
    turn: asyncio.Future[None]


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
        self.controller = Controller(engine.shape, section.settings(), patience, confirms_ends=True)
        self._in_flight = InFlight(self.controller, metrics)
        self._engine = engine
        self._settings_hash = section.hash()
        self._draining_since: str | None = None
        self._ending = False
        self._metrics = metrics
        self._tracing = tracing or Tracing()
        self._decisions = decisions or DecisionLog()
        self._shadow = ShadowWatch(metrics)
        self.time_scale = time_scale
        self._loop = asyncio.get_running_loop()
        self._renderings = Renderings(max_concurrent_renderings, self._loop.time, self._may_render)
        self._turns: dict[int, _Waiting] = {}  # by ticket
        self._tickets: dict[Visit, int] = {}
        self._alarms = Alarms()
        metrics.read_from(self.sources)
        self._clock = SteadyClock()
        self._engine_watch = EngineWatch(
            engine, self.controller, metrics, now_s=self.now_s, running=self._in_flight.visits
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
                self._settle(self.controller.tick(self.now_s()))
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
        tenant = visit.tenant
        refusal = self.controller.precheck(
            tenant.name, body_chars, tenant.priority, now_s=self.now_s()
        )
        if refusal:
            self._metrics.count(DECISIONS, Outcome.REJECTED, refusal.reason)
        return refusal

    def late(self, visit: Visit) -> bool:
        """Whether it is refused because its first token is late whatever its body asks for.

        What this refuses, `admit` would refuse as well, had it been rendered now.
        """
        self._engine_watch.look()
        refusal = self._late(visit)
        if refusal is None and self._renderings.wait_s * self.time_scale > self._left_s(visit):
            refusal = _too_many_renderings(visit)
        if refusal is not None:
            self.refuse(visit, refusal)
        return refusal is not None

    def _late(self, visit: Visit, *, behind: int = 0) -> Rejected | None:
        tenant, due_at_s = visit.tenant, visit.arrived_at_s + visit.deadline_s
        return self.controller.late_at_least(
            tenant.name, tenant.priority, deadline_at_s=due_at_s, now_s=self.now_s(), behind=behind
        )

    def _left_s(self, visit: Visit) -> float:
        return max(0.0, visit.arrived_at_s + visit.deadline_s - self.now_s())

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
        refusal = self._late(who)
        if refusal is not None:
            self.refuse(who, refusal)
            return False
        return None if inside and self._late(who, behind=inside) else True

    def refuse(self, visit: Visit, refusal: Rejected) -> None:
        """Put a verdict on the visit and count it."""
        visit.verdict = refusal
        self._metrics.count(DECISIONS, Outcome.REJECTED, refusal.reason)

    async def admit(self, visit: Visit, shape: RequestShape) -> bool:
        """Offer the request; returns once it holds a lease (True) or is refused (False)."""
        with self._tracing.admission(visit):
            visit.prompt_tokens = shape.prompt_tokens
            hopeless = self.controller.hopeless(shape)
            if hopeless:
                self.refuse(visit, hopeless)
                return False
            offer = self._offer(visit.tenant, shape, visit.arrived_at_s, visit.deadline_s)
            answer = self.controller.offer(offer, self.now_s())
            self._renderings.leave(visit, rendered=True)
            self._note(visit, offer, answer.quote, answer.would)
            self._shadow.decided(visit, answer, self.controller.settings)
            if isinstance(answer.decision, Accepted):
                self._begin(visit, answer.decision, answer.quote)
            elif isinstance(answer.decision, Rejected):
                visit.verdict = answer.decision
            elif answer.ticket_id is not None:
                await self._wait(visit, offer, answer.ticket_id)
            return visit.verdict is None

    def _offer(
        self, tenant: Tenant, shape: RequestShape, arrived_at_s: float, deadline_s: float
    ) -> Offer:
        return Offer(tenant.name, tenant.priority, shape, arrived_at_s, arrived_at_s + deadline_s)

    def _note(self, visit: Visit, offer: Offer, quote: Quote, decision: Decision) -> None:
        self._metrics.count(DECISIONS, *_outcome(decision))
        self._decisions.decided(
            visit,
            offer,
            quote,
            decision,
            self.controller,
            mono_s=self.now_s(),
            config_hash=self._settings_hash,
        )

    async def _wait(self, visit: Visit, offer: Offer, ticket: int) -> None:
        joined_at_s = self.now_s()
        turn: asyncio.Future[None] = self._loop.create_future()
        self._turns[ticket] = _Waiting(visit, offer, turn)
        self._tickets[visit] = ticket
        try:
            await turn
        except asyncio.CancelledError:
            self._leave_queue(visit)
            raise
        finally:
            visit.queued_s = self.now_s() - joined_at_s
            self._metrics.observe(QUEUE_WAIT, visit.queued_s)

    def _leave_queue(self, visit: Visit) -> None:
        ticket = self._tickets.pop(visit, None)
        if ticket is not None:
            del self._turns[ticket]
            self.controller.leave_queue(ticket)
            self._metrics.count(DECISIONS, Outcome.ABANDONED, "")
            visit.finish = Outcome.ABANDONED
            self._decisions.ended(visit)

    def _settle(self, turns: Sequence[Turn]) -> None:
        """Tell those whose turn came.

        The lease is on the visit before its task wakes: a client that leaves in this instant
        still gives it back.
        """
        for turn in turns:
            waiting = self._turns.pop(turn.ticket_id)
            visit = waiting.visit
            self._tickets.pop(visit, None)
            self._note(visit, waiting.offer, turn.quote, turn.decision)
            if isinstance(turn.decision, Accepted):
                self._begin(visit, turn.decision, turn.quote)
            else:
                visit.verdict = turn.decision
            if not waiting.turn.done():
                waiting.turn.set_result(None)

    def _begin(self, visit: Visit, accepted: Accepted, quote: Quote) -> None:
        visit.predicted_tokens = tuple(predicted.tokens for predicted in quote.predictions)
        visit.lease_id = accepted.lease_id
        visit.accepted_at_s = self.now_s()
        self._in_flight.begin(visit, accepted.lease_id)

    # -- while it runs ---------------------------------------------------------------------

    def starting(self, visit: Visit, engine_id: str, shape: RequestShape) -> None:
        """An engine request of the visit begins."""
        self._in_flight.starting(visit, engine_id, shape, self.now_s())

    def unleased(self) -> None:
        """An engine call without a lease was refused."""
        self._metrics.count(UNLEASED_CALLS)

    def stepped(self, step: EngineStep) -> None:
        """One engine step: correct the ledger, teach the lengths, let the queue move."""
        turns = self.controller.progress(self._in_flight.read(step), self.now_s())
        self._in_flight.compare(step)
        self._engine_watch.confirm_ends()
        self._settle(turns)

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
        """Real seconds until a request without a first token is cut off; 0 = now, None = never.

        Only mode enforce promises deadlines.
        """
        settings = self.controller.settings
        if settings.mode is not Mode.ENFORCE or self._in_flight.has_begun(visit):
            return None
        allowed_s = visit.deadline_s + settings.ttft_grace_s
        return max(0.0, visit.arrived_at_s + allowed_s - self.now_s()) / self.time_scale

    def cut_off(self, visit: Visit) -> Rejected:
        """The verdict on an overdue request: the engine is down, or slower than promised."""
        waited_s = self.now_s() - visit.arrived_at_s
        visit.verdict = self.controller.overdue(waited_s, allowed_s=visit.deadline_s)
        self._metrics.count(OVERDUE)
        _log.warning("request %s was cut off: no token within %.1f s", visit.request_id, waited_s)
        return visit.verdict

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
        for lease_id in (visit.lease_id, *visit.more_lease_ids):
            self._give_back(visit, lease_id)
        self._decisions.ended(visit)
        self._shadow.ended(visit)

    def _give_back(self, visit: Visit, lease_id: int) -> None:
        self._in_flight.end(visit, lease_id)
        in_engine = bool(visit.engine_ids)
        self._settle(self.controller.release(lease_id, self.now_s(), in_engine=in_engine))
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
        self.controller.draining = True
        self._settle(self.controller.tick(self.now_s()))

    def resume(self) -> bool:
        """Admit again; False, and nothing is changed, when the gateway is ending."""
        if self._ending:
            return False
        self._draining_since = None
        self.controller.draining = False
        self._settle(self.controller.tick(self.now_s()))
        return True

    @property
    def replica(self) -> str:
        """Names this start of one engine, as in the decision log."""
        return self._decisions.replica

    def settings_hash(self) -> str:
        """Of the admission section in force."""
        return self._settings_hash

    def reconfigure(self, section: AdmissionSection) -> None:
        """New settings, already validated, from now on."""
        self._settings_hash = section.hash()
        self.controller.reconfigure(section.settings())
        self._shadow.begin_anew()
        self._settle(self.controller.tick(self.now_s()))

    def state(self) -> dict[str, Any]:
        """Budgets, leases by tenant and the queue; bounded in size."""
        return state(self.controller, self._in_flight.visits, now_s=self.now_s()) | {
            "time_scale": self.time_scale,
            "unfinished_sequences": self._engine.unfinished,
            "ledger_check": self._in_flight.agreement.as_json(),
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
        return told | self._shadow.report.as_json()

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
        offer = self._offer(tenant, shape, now_s, self.deadline_s(requested_ms))
        return explanation(self.controller, offer, now_s)


def _outcome(decision: Decision) -> tuple[Outcome, str]:
    if isinstance(decision, Rejected):
        return Outcome.REJECTED, decision.reason
    return (Outcome.QUEUED if isinstance(decision, Queued) else Outcome.ACCEPTED), ""


def _too_many_renderings(visit: Visit) -> Rejected:
    return Rejected(
        Reason.TTFT_SLO,
        f"The prompt was not rendered within the {visit.deadline_s:.1f} s allowed: too many "
        "prompts arrive at once.",
        limit=Limit.PREFILL,
        retry_after_s=1.0 + random.random(),  # noqa: S311 - spreads the herd, no secret
    )
