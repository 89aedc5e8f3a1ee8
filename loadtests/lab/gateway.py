"""The gateway's own admission as a door: the controller that serves, told the same in turn.

`serve.gate.gate` without its event loop. What reads the engine's steps (`InFlight`) and what
decides (`Controller`) are the same objects; a request's task and its future become a verdict.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from prometheus_client import CollectorRegistry

from admission.controller import Controller
from admission.exchange import Turn
from admission.price.footprint import EngineShape, PromptShape, RequestShape
from admission.price.offer import Offer, Quote
from admission.price.prefixes import PrefixHashes
from admission.speed.linear_steps import StepCoefficients
from admission.terms.decision import Accepted, Decision, Rejected
from admission.terms.settings import Settings
from loadtests.lab.door import Bounds, Ruling
from loadtests.lab.prefix_hasher import TracePrefixHasher
from loadtests.lab.workload import TraceRequest
from serve.engine_step import EngineStep
from serve.gate.decision_log import DecisionLog
from serve.gate.in_flight import InFlight
from serve.observability.metrics import Metrics
from serve.visit import ApiFamily, Tenant, Visit


def blind(request: TraceRequest, hashes: PrefixHashes) -> RequestShape:
    """What the gateway sees of a request: its limit, not its length."""
    return _shape(request, request.max_tokens, hashes, known=request.known_length)


def clairvoyant(request: TraceRequest, hashes: PrefixHashes) -> RequestShape:
    """The same with its true length, as if the client had fixed it."""
    length = min(request.output_tokens, request.max_tokens)
    return _shape(request, length, hashes, known=True)


def _shape(
    request: TraceRequest, max_tokens: int, hashes: PrefixHashes, *, known: bool
) -> RequestShape:
    prompt = PromptShape(request.prompt_tokens, max_tokens, hashes)
    return RequestShape((prompt,) * request.prompts, sequences=request.answers, ignore_eos=known)


class _Waiting(NamedTuple):
    visit: Visit
    request: TraceRequest
    offer: Offer


class OurGateway:
    """One policy of the controller; `knows_lengths` makes it the oracle (a).

    Without `bounds` the settings hold as they are. What is decided goes to `decisions`, as live.
    """

    def __init__(
        self,
        shape: EngineShape,
        settings: Settings,
        bounds: Bounds | None,
        *,
        line: StepCoefficients | None = None,
        knows_lengths: bool = False,
        decisions: DecisionLog | None = None,
    ) -> None:
        if bounds is not None:
            settings = replace(settings, ttft_deadline_s=bounds.ttft_s, tpot_target_s=bounds.tpot_s)
        self.controller = Controller(shape, settings)
        if line is not None:
            self.controller.know_step_times(line)
        self._in_flight = InFlight(self.controller, Metrics(CollectorRegistry()))
        self._decisions = decisions or DecisionLog()
        self._hasher = TracePrefixHasher(shape.block_tokens)
        self._read = clairvoyant if knows_lengths else blind
        self._queue: dict[int, _Waiting] = {}  # by ticket
        self._running: dict[str, Visit] = {}  # by engine id

    def _shape_of(self, request: TraceRequest) -> RequestShape:
        return self._read(request, self._hasher.of(request))

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self._queue)

    def offer(self, request: TraceRequest, now_s: float) -> Sequence[Ruling]:
        """As `Gate.precheck` and `Gate.admit`."""
        visit = _visit(request, self.controller.settings.ttft_deadline_s)
        tenant, shape = visit.tenant, self._shape_of(request)
        refusal = self.controller.precheck(tenant.name, 0, tenant.priority, now_s=now_s)
        refusal = refusal or self.controller.hopeless(shape)
        if refusal:
            return [Ruling(request.number, refusal.reason)]
        due_s = self._due_s(visit)
        offer = Offer(tenant.name, tenant.priority, shape, request.arrived_at_s, due_s)
        answer = self.controller.offer(offer, now_s)
        self._note(visit, offer, answer.quote, answer.would, now_s)
        if answer.ticket_id is not None:
            self._queue[answer.ticket_id] = _Waiting(visit, request, offer)
            return []
        if isinstance(answer.decision, Rejected):
            return [Ruling(request.number, answer.decision.reason)]
        if isinstance(answer.decision, Accepted):
            self._begin(visit, request, offer, answer.decision, answer.quote, now_s)
        return [Ruling(request.number)]

    def stepped(self, step: EngineStep, now_s: float) -> Sequence[Ruling]:
        """As `Gate.stepped`; then those who ended leave, as `Gate.leave`."""
        turns = self.controller.progress(self._in_flight.read(step), now_s)
        self._in_flight.compare(step)
        told = self._settle(turns, now_s)
        for finished in step.finished:
            visit = self._running.pop(finished.engine_id)
            visit.engine_ids.remove(finished.engine_id)
            if visit.lease_id is not None and not visit.engine_ids:
                self._in_flight.end(visit, visit.lease_id)
                turns = self.controller.release(visit.lease_id, now_s, in_engine=True)
                told += self._settle(turns, now_s)
                self._decisions.ended(visit)
        return told

    def tick(self, now_s: float) -> Sequence[Ruling]:
        """As the gate's ticker."""
        return self._settle(self.controller.tick(now_s), now_s)

    def _due_s(self, visit: Visit) -> float:
        return visit.arrived_at_s + visit.deadline_s

    def _settle(self, turns: Sequence[Turn], now_s: float) -> list[Ruling]:
        told = []
        for turn in turns:
            visit, request, offer = self._queue.pop(turn.ticket_id)
            visit.queued_s = now_s - request.arrived_at_s
            self._note(visit, offer, turn.quote, turn.decision, now_s)
            if isinstance(turn.decision, Rejected):
                told.append(Ruling(request.number, turn.decision.reason))
            else:
                self._begin(visit, request, offer, turn.decision, turn.quote, now_s)
                told.append(Ruling(request.number))
        return told

    def _begin(
        self,
        visit: Visit,
        request: TraceRequest,
        offer: Offer,
        accepted: Accepted,
        quote: Quote,
        now_s: float,
    ) -> None:
        visit.predicted_tokens = tuple(predicted.tokens for predicted in quote.predictions)
        visit.lease_id, visit.accepted_at_s = accepted.lease_id, now_s
        self._in_flight.begin(visit, accepted.lease_id)
        alone = RequestShape(offer.shape.prompts[:1])
        for engine_id in request.engine_ids:
            visit.engine_ids.append(engine_id)
            self._in_flight.starting(visit, engine_id, alone, now_s)
            self._running[engine_id] = visit

    def _note(
        self, visit: Visit, offer: Offer, quote: Quote, decision: Decision, now_s: float
    ) -> None:
        self._decisions.decided(
            visit, offer, quote, decision, self.controller, mono_s=now_s, config_hash=""
        )


def _visit(request: TraceRequest, deadline_s: float) -> Visit:
    return Visit(
        request_id=str(request.number),
        tenant=Tenant(request.tenant, request.priority),
        route="/v1/completions",
        family=ApiFamily.OPENAI,
        deadline_s=deadline_s if request.deadline_s is None else request.deadline_s,
        arrived_at_s=request.arrived_at_s,
    )
