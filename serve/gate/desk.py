"""Admission of one engine without its event loop: what the gateway and the lab both drive.

A request arrives, may wait in the queue, runs under a lease and leaves. The desk asks the
controller, keeps who waits and who runs, and writes down what was decided. It is synchronous and
is given the time with every call. `Gate` drives it with asyncio and the lab
(`loadtests.lab.playing.gateway`) with a virtual clock, so the lab plays the code that serves.

A decision is on the visit: `verdict` for a refusal, `lease_id` for a lease. Calls that let the
queue move return the visits that were decided by it, in order.
"""

import logging
from collections.abc import Collection, Sequence
from typing import NamedTuple

from admission.controller import Controller
from admission.exchange import Turn
from admission.gates.heartbeat import Patience
from admission.price.footprint import EngineShape, RequestShape
from admission.price.offer import Offer, Quote
from admission.terms.decision import Accepted, Decision, Outcome, Queued, Rejected
from admission.terms.settings import Mode, Settings
from admission.terms.shadow import ShadowReport
from serve.engine_step import EngineStep
from serve.gate.agreement import Agreement
from serve.gate.decision_log import DecisionLog
from serve.gate.in_flight import InFlight
from serve.gate.shadow_watch import ShadowWatch
from serve.observability.metric_table import DECISIONS, OVERDUE, QUEUE_WAIT
from serve.observability.metrics import Metrics
from serve.visit import Visit

_log = logging.getLogger("sluice.gate")


class _Waiting(NamedTuple):
    visit: Visit
    offer: Offer
    joined_at_s: float


class Desk:
    """Create one for each engine; `confirms_ends` as for `Controller`."""

    def __init__(  # noqa: PLR0913 - the parts of one engine's admission, each named once
        self,
        shape: EngineShape,
        settings: Settings,
        *,
        metrics: Metrics,
        decisions: DecisionLog,
        config_hash: str = "",
        patience: Patience | None = None,
        confirms_ends: bool = False,
    ) -> None:
        self.controller = Controller(shape, settings, patience, confirms_ends=confirms_ends)
        self.config_hash = config_hash
        self._metrics = metrics
        self._decisions = decisions
        self._in_flight = InFlight(self.controller, metrics)
        self.agreement = Agreement()  # of the ledger with the engine
        self._shadow = ShadowWatch(metrics)
        self._waiting: dict[int, _Waiting] = {}  # by ticket
        self._tickets: dict[Visit, int] = {}

    # -- readings --------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self._waiting)

    @property
    def running(self) -> Collection[Visit]:
        """Visits that hold a lease; one with several leases is here for each."""
        return self._in_flight.visits

    @property
    def shadow_report(self) -> ShadowReport:
        """What mode shadow would have refused since the settings in force came."""
        return self._shadow.report

    # -- before the lease ------------------------------------------------------------------

    def precheck(self, visit: Visit, body_chars: int, now_s: float) -> Rejected | None:
        """The refusal of what can be refused without its tokens; it is counted."""
        tenant = visit.tenant
        refusal = self.controller.precheck(tenant.name, body_chars, tenant.priority, now_s=now_s)
        if refusal:
            self._metrics.count(DECISIONS, Outcome.REJECTED, refusal.reason)
        return refusal

    def late(self, visit: Visit, now_s: float, *, behind: int = 0) -> Rejected | None:
        """The refusal of a request whose first token comes late whatever its body asks for.

        What this refuses, `arrive` refuses as well. `behind` as for `Controller.late_at_least`.
        """
        return self.controller.late_at_least(
            visit.tenant.name,
            visit.tenant.priority,
            deadline_at_s=visit.due_at_s,
            now_s=now_s,
            behind=behind,
        )

    def refuse(self, visit: Visit, refusal: Rejected) -> None:
        """Put a verdict on the visit and count it."""
        visit.verdict = refusal
        self._metrics.count(DECISIONS, Outcome.REJECTED, refusal.reason)

    def arrive(self, visit: Visit, shape: RequestShape, now_s: float) -> bool:
        """Offer the request. Returns whether it is decided; False while it waits in the queue."""
        visit.prompt_tokens = shape.prompt_tokens
        hopeless = self.controller.hopeless(shape)
        if hopeless:
            self.refuse(visit, hopeless)
            return True
        tenant = visit.tenant
        offer = Offer(tenant.name, tenant.priority, shape, visit.arrived_at_s, visit.due_at_s)
        answer = self.controller.offer(offer, now_s)
        self._note(visit, offer, answer.quote, answer.would, now_s)
        self._shadow.decided(visit, answer, self.controller.settings)
        if answer.ticket_id is not None:
            self._waiting[answer.ticket_id] = _Waiting(visit, offer, now_s)
            self._tickets[visit] = answer.ticket_id
            return False
        if isinstance(answer.decision, Accepted):
            self._begin(visit, answer.decision, answer.quote, now_s)
        elif isinstance(answer.decision, Rejected):
            visit.verdict = answer.decision
        return True

    def _note(
        self, visit: Visit, offer: Offer, quote: Quote, decision: Decision, now_s: float
    ) -> None:
        self._metrics.count(DECISIONS, *_outcome(decision))
        self._decisions.decided(
            visit,
            offer,
            quote,
            decision,
            self.controller,
            mono_s=now_s,
            config_hash=self.config_hash,
        )

    def leave_queue(self, visit: Visit, now_s: float) -> None:
        """The client of a waiting request left; of any other nothing changes."""
        ticket = self._tickets.pop(visit, None)
        if ticket is None:
            return
        self._end_wait(self._waiting.pop(ticket), now_s)
        self.controller.leave_queue(ticket)
        self._metrics.count(DECISIONS, Outcome.ABANDONED, "")
        visit.finish = Outcome.ABANDONED
        self._decisions.ended(visit)

    def _end_wait(self, waiting: _Waiting, now_s: float) -> None:
        waiting.visit.queued_s = now_s - waiting.joined_at_s
        self._metrics.observe(QUEUE_WAIT, waiting.visit.queued_s)

    def _settle(self, turns: Sequence[Turn], now_s: float) -> list[Visit]:
        """Put each decision on its visit: a lease is there before the visit's task wakes."""
        settled = []
        for turn in turns:
            waiting = self._waiting.pop(turn.ticket_id)
            visit = waiting.visit
            del self._tickets[visit]
            self._end_wait(waiting, now_s)
            self._note(visit, waiting.offer, turn.quote, turn.decision, now_s)
            if isinstance(turn.decision, Accepted):
                self._begin(visit, turn.decision, turn.quote, now_s)
            else:
                visit.verdict = turn.decision
            settled.append(visit)
        return settled

    def _begin(self, visit: Visit, accepted: Accepted, quote: Quote, now_s: float) -> None:
        visit.predicted_tokens = tuple(predicted.tokens for predicted in quote.predictions)
        visit.lease_id = accepted.lease_id
        visit.accepted_at_s = now_s
        self._in_flight.begin(visit, accepted.lease_id)

    # -- under the lease -------------------------------------------------------------------

    def starting(self, visit: Visit, engine_id: str, shape: RequestShape, now_s: float) -> None:
        """An engine request of the visit begins."""
        self._in_flight.starting(visit, engine_id, shape, now_s)

    def stepped(self, step: EngineStep, now_s: float) -> list[Visit]:
        """One engine step: correct the ledger, teach the lengths, let the queue move."""
        turns = self.controller.progress(self._in_flight.read(step), now_s)
        if step.preempted:
            self._in_flight.preempted(step.preempted)
        settled = self._settle(turns, now_s)
        if self.controller.comparison is not None:
            self.agreement.note(self.controller.comparison, waiting=self.waiting > 0)
        return settled

    def tick(self, now_s: float) -> list[Visit]:
        """Time has passed."""
        return self._settle(self.controller.tick(now_s), now_s)

    def overdue_at_s(self, visit: Visit) -> float | None:
        """When a request without a first token is cut off; None = never.

        Only mode enforce promises deadlines.
        """
        settings = self.controller.settings
        if settings.mode is not Mode.ENFORCE or self._in_flight.has_begun(visit):
            return None
        return visit.due_at_s + settings.ttft_grace_s

    def cut_off(self, visit: Visit, now_s: float) -> Rejected:
        """The verdict on an overdue request: the engine is down, or slower than predicted."""
        waited_s = now_s - visit.arrived_at_s
        visit.verdict = self.controller.overdue(waited_s, allowed_s=visit.deadline_s)
        self._metrics.count(OVERDUE)
        _log.warning("request %s was cut off: no token within %.1f s", visit.request_id, waited_s)
        return visit.verdict

    def leave(self, visit: Visit, now_s: float) -> list[Visit]:
        """The request is over, and the engine told so: its leases end. Call it once."""
        self.leave_queue(visit, now_s)
        if visit.lease_id is None:
            return []
        settled = []
        for lease_id in (visit.lease_id, *visit.more_lease_ids):
            self._in_flight.end(visit, lease_id)
            in_engine = bool(visit.engine_ids)
            turns = self.controller.release(lease_id, now_s, in_engine=in_engine)
            settled += self._settle(turns, now_s)
        self._decisions.ended(visit)
        self._shadow.ended(visit)
        return settled

    # -- changing course -------------------------------------------------------------------

    def drain(self, now_s: float, *, draining: bool) -> list[Visit]:
        """Admit nothing more, or admit again."""
        self.controller.draining = draining
        return self.tick(now_s)

    def reconfigure(self, settings: Settings, config_hash: str, now_s: float) -> list[Visit]:
        """New settings from now on."""
        self.config_hash = config_hash
        self.controller.reconfigure(settings)
        self._shadow.begin_anew()
        return self.tick(now_s)


def _outcome(decision: Decision) -> tuple[Outcome, str]:
    if isinstance(decision, Rejected):
        return Outcome.REJECTED, decision.reason
    return (Outcome.QUEUED if isinstance(decision, Queued) else Outcome.ACCEPTED), ""
