"""The gateway's own admission as a door: the controller that serves, told the same in turn.

`serve.gate` without its event loop. What reads the engine's steps (`InFlight`) and what decides
(`Controller`) are the same objects; a request's task and its future become a verdict.
"""

from collections.abc import Sequence
from dataclasses import replace

from prometheus_client import CollectorRegistry

from admission.controller import Controller
from admission.decision import Accepted, Rejected
from admission.exchange import Offer, Quote, Turn
from admission.footprint import EngineShape, PromptShape, RequestShape
from admission.settings import Settings
from admission.step_line import StepCoefficients
from serve.in_flight import InFlight
from serve.lab.door import Bounds, Verdict
from serve.lab.workload import TraceRequest
from serve.observability.telemetry import Metrics
from serve.sequences import EngineStep
from serve.visit import Family, Tenant, Visit


def blind(request: TraceRequest) -> RequestShape:
    """What the gateway sees of a request: its limit, not its length."""
    return RequestShape((PromptShape(request.prompt_tokens, request.max_tokens),))


def clairvoyant(request: TraceRequest) -> RequestShape:
    """The same with its true length, as if the client had fixed it."""
    length = min(request.output_tokens, request.max_tokens)
    return RequestShape((PromptShape(request.prompt_tokens, length),), ignore_eos=True)


class Gateway:
    """One policy of the controller; `knows_lengths` makes it the oracle (a)."""

    def __init__(
        self,
        shape: EngineShape,
        settings: Settings,
        bounds: Bounds,
        *,
        line: StepCoefficients | None = None,
        knows_lengths: bool = False,
    ) -> None:
        settings = replace(settings, ttft_deadline_s=bounds.ttft_s, tpot_target_s=bounds.tpot_s)
        self.controller = Controller(shape, settings)
        if line is not None:
            self.controller.know_step_times(line)
        self._in_flight = InFlight(self.controller, Metrics(CollectorRegistry()))
        self._deadline_s = bounds.ttft_s
        self._shape_of = clairvoyant if knows_lengths else blind
        self._line: dict[int, tuple[Visit, TraceRequest]] = {}  # by ticket
        self._running: dict[str, Visit] = {}  # by engine id

    @property
    def waiting(self) -> int:
        """How many stand in line."""
        return len(self._line)

    def offer(self, request: TraceRequest, now_s: float) -> Sequence[Verdict]:
        """As `Gate.precheck` and `Gate.admit`."""
        visit = _visit(request, self._deadline_s)
        tenant, shape = visit.tenant, self._shape_of(request)
        refusal = self.controller.precheck(tenant.name, 0, tenant.priority, now_s=now_s)
        refusal = refusal or self.controller.hopeless(shape)
        if refusal:
            return [Verdict(request.number, refusal.reason)]
        due_s = request.arrived_at_s + self._deadline_s
        offer = Offer(tenant.name, tenant.priority, shape, request.arrived_at_s, due_s)
        answer = self.controller.offer(offer, now_s)
        if answer.ticket_id is not None:
            self._line[answer.ticket_id] = visit, request
            return []
        if isinstance(answer.decision, Rejected):
            return [Verdict(request.number, answer.decision.reason)]
        if isinstance(answer.decision, Accepted):
            self._begin(visit, request, answer.decision, answer.quote, now_s)
        return [Verdict(request.number)]

    def stepped(self, step: EngineStep, now_s: float) -> Sequence[Verdict]:
        """As `Gate.stepped`; then those who ended leave, as `Gate.leave`."""
        turns = self.controller.progress(self._in_flight.read(step), now_s)
        self._in_flight.compare(step)
        told = self._settle(turns, now_s)
        for finished in step.finished:
            visit = self._running.pop(finished.engine_id)
            if visit.lease_id is not None:
                self._in_flight.end(visit, visit.lease_id)
                turns = self.controller.release(visit.lease_id, now_s, in_engine=True)
                told += self._settle(turns, now_s)
        return told

    def tick(self, now_s: float) -> Sequence[Verdict]:
        """As the gate's ticker."""
        return self._settle(self.controller.tick(now_s), now_s)

    def _settle(self, turns: Sequence[Turn], now_s: float) -> list[Verdict]:
        told = []
        for turn in turns:
            visit, request = self._line.pop(turn.ticket_id)
            if isinstance(turn.decision, Rejected):
                told.append(Verdict(request.number, turn.decision.reason))
            else:
                self._begin(visit, request, turn.decision, turn.quote, now_s)
                told.append(Verdict(request.number))
        return told

    def _begin(
        self, visit: Visit, request: TraceRequest, accepted: Accepted, quote: Quote, now_s: float
    ) -> None:
        visit.predicted_tokens = tuple(predicted.tokens for predicted in quote.predictions)
        visit.lease_id, visit.accepted_at_s = accepted.lease_id, now_s
        visit.engine_ids.append(visit.request_id)
        self._in_flight.begin(visit, accepted.lease_id)
        self._in_flight.starting(visit, visit.request_id, self._shape_of(request), now_s)
        self._running[visit.request_id] = visit


def _visit(request: TraceRequest, deadline_s: float) -> Visit:
    return Visit(
        request_id=str(request.number),
        tenant=Tenant(request.tenant),
        route="/v1/completions",
        family=Family.OPENAI,
        deadline_s=deadline_s,
        arrived_at_s=request.arrived_at_s,
    )
