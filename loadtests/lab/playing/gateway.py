"""The gateway's admission as a policy of the lab: its `Desk` on a virtual clock."""

from collections.abc import Sequence
from dataclasses import replace

from prometheus_client import CollectorRegistry

from admission.price.footprint import EngineShape, PromptShape, RequestShape
from admission.price.offer import Offer
from admission.price.prefixes import PrefixHashes
from admission.speed.linear_steps import StepCoefficients
from admission.terms.decision import Accepted
from admission.terms.settings import Settings
from loadtests.lab.playing.door import Bounds, Ruling
from loadtests.lab.playing.prefix_hasher import TracePrefixHasher
from loadtests.lab.playing.workload import TraceRequest
from serve.engine_step import EngineStep
from serve.gate.decision_log import DecisionLog
from serve.gate.desk import Desk
from serve.observability.metrics import Metrics
from serve.visit import ApiFamily, Tenant, Visit


def blind(request: TraceRequest, hashes: PrefixHashes) -> RequestShape:
    """What the gateway knows of a request: its `max_tokens`, not its output length."""
    return _shape(request, request.max_tokens, hashes, known=request.known_length)


def clairvoyant(request: TraceRequest, hashes: PrefixHashes) -> RequestShape:
    """The request with its true output length, as if the client had fixed it."""
    length = min(request.output_tokens, request.max_tokens)
    return _shape(request, length, hashes, known=True)


def _shape(
    request: TraceRequest, max_tokens: int, hashes: PrefixHashes, *, known: bool
) -> RequestShape:
    prompt = PromptShape(request.prompt_tokens, max_tokens, hashes)
    return RequestShape((prompt,) * request.prompts, sequences=request.answers, ignore_eos=known)


class OurGateway:
    """One policy of the controller; `knows_lengths` makes it oracle (a).

    `bounds` replaces the latency bounds of the settings. Decisions go to `decisions`, as in the
    running gateway. Desks of a fleet share one `hasher`, since it numbers texts in the order in
    which they arrive.
    """

    def __init__(  # noqa: PLR0913 - what one run is made of, each named once
        self,
        shape: EngineShape,
        settings: Settings,
        bounds: Bounds | None,
        *,
        line: StepCoefficients | None = None,
        knows_lengths: bool = False,
        decisions: DecisionLog | None = None,
        hasher: TracePrefixHasher | None = None,
    ) -> None:
        if bounds is not None:
            settings = replace(settings, ttft_deadline_s=bounds.ttft_s, tpot_target_s=bounds.tpot_s)
        self._desk = Desk(
            shape,
            settings,
            metrics=Metrics(CollectorRegistry()),
            decisions=decisions or DecisionLog(),
        )
        self.controller = self._desk.controller
        if line is not None:
            self.controller.know_step_times(line)
        self._hasher = hasher or TracePrefixHasher(shape.block_tokens)
        self._read = clairvoyant if knows_lengths else blind
        self._requests: dict[Visit, TraceRequest] = {}  # not yet decided
        self._running: dict[str, Visit] = {}  # by engine id
        self._unfinished: dict[Visit, int] = {}  # engine requests

    def _shape_of(self, request: TraceRequest) -> RequestShape:
        return self._read(request, self._hasher.of(request))

    def _deadline_s(self, request: TraceRequest) -> float:
        default_s = self.controller.settings.ttft_deadline_s
        return default_s if request.deadline_s is None else request.deadline_s

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return self._desk.waiting

    def offer(self, request: TraceRequest, now_s: float) -> Sequence[Ruling]:
        """Runs `precheck` and `arrive`; there is no body to read."""
        visit = _visit(request, self._deadline_s(request))
        self._requests[visit] = request
        visit.verdict = self._desk.precheck(visit, 0, now_s)
        if visit.verdict or self._desk.arrive(visit, self._shape_of(request), now_s):
            return self._tell([visit], now_s)
        return []

    def cost_s(self, request: TraceRequest, externality: float, now_s: float) -> float | None:
        """Seconds to its first token and what its prompt costs others; None: not accepted now."""
        due_at_s = request.arrived_at_s + self._deadline_s(request)
        shape, controller = self._shape_of(request), self.controller
        offer = Offer(request.tenant, request.priority, shape, request.arrived_at_s, due_at_s)
        quote = controller.quote(offer)
        if not isinstance(controller.judge(offer, quote, now_s), Accepted):
            return None
        own_s = controller.speed.prefill_s(quote.price.prefill_tokens)
        others_s = externality * own_s * len(controller.ledger.leases)
        return controller.predicted_ttft_s(offer, now_s) + others_s

    def stepped(self, step: EngineStep, now_s: float) -> Sequence[Ruling]:
        """Passes the step to the desk, then releases the requests that ended in it."""
        rulings = self._tell(self._desk.stepped(step, now_s), now_s)
        for finished in step.finished:
            visit = self._running.pop(finished.engine_id)
            self._unfinished[visit] -= 1
            if not self._unfinished[visit]:
                del self._unfinished[visit]
                rulings += self._tell(self._desk.leave(visit, now_s), now_s)
        return rulings

    def tick(self, now_s: float) -> Sequence[Ruling]:
        """Passes the tick to the desk."""
        return self._tell(self._desk.tick(now_s), now_s)

    def _tell(self, visits: Sequence[Visit], now_s: float) -> list[Ruling]:
        """The rulings on these visits; the sequences of accepted ones start at once."""
        return [self._ruling(visit, self._requests.pop(visit), now_s) for visit in visits]

    def _ruling(self, visit: Visit, request: TraceRequest, now_s: float) -> Ruling:
        if visit.verdict is not None:
            return Ruling(request.number, visit.verdict.reason)
        prompt = RequestShape(self._shape_of(request).prompts[:1])
        for engine_id in request.engine_ids:
            visit.engine_ids.append(engine_id)
            self._desk.starting(visit, engine_id, prompt, now_s)
            self._running[engine_id] = visit
        self._unfinished[visit] = len(request.engine_ids)
        return Ruling(request.number)


def _visit(request: TraceRequest, deadline_s: float) -> Visit:
    return Visit(
        request_id=str(request.number),
        tenant=Tenant(request.tenant, request.priority),
        route="/v1/completions",
        family=ApiFamily.OPENAI,
        deadline_s=deadline_s,
        arrived_at_s=request.arrived_at_s,
    )
