"""What a request would be told now: every question of whether, none of what follows from it."""

from admission.dispatch import Dispatcher
from admission.gates.headroom import Headroom
from admission.ledger.claim import Claim
from admission.ledger.ledger import Ledger
from admission.price.footprint import LEAST, Price, RequestShape, never_fits, too_many_sequences
from admission.price.offer import Offer
from admission.queue.accounts import Accounts
from admission.queue.waiting import QueueLoad, Ticket, WaitingQueue
from admission.speed.engine_speed import EngineSpeed
from admission.terms import refusals
from admission.terms.decision import Accepted, Decision, Limit, Priority, Queued, Rejected
from admission.terms.settings import Mode, Settings

_CHARS_PER_TOKEN_MAX = 32  # no vocabulary packs more; a longer body cannot fit whatever it says


class Judge:
    """Reads the parts of one controller and changes nothing; asked only while admission is open."""

    def __init__(  # noqa: PLR0913 - the parts it reads, each named once
        self,
        settings: Settings,
        *,
        ledger: Ledger,
        headroom: Headroom,
        speed: EngineSpeed,
        queue: WaitingQueue,
        accounts: Accounts,
        dispatcher: Dispatcher,
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._engine = ledger.engine
        self._headroom = headroom
        self._speed = speed
        self._queue = queue
        self._accounts = accounts
        self._dispatcher = dispatcher

    def reconfigure(self, settings: Settings) -> None:
        """Other settings from now on."""
        self._settings = settings

    @property
    def _enforcing(self) -> bool:
        return self._settings.mode is Mode.ENFORCE

    # -- before a price --------------------------------------------------------------------

    def precheck(
        self, tenant: str, body_chars: int, priority: Priority, now_s: float
    ) -> Rejected | None:
        """Hopelessly long, budget used up, queue full."""
        limit = self._engine.max_model_len
        if body_chars > _CHARS_PER_TOKEN_MAX * limit:
            return refusals.hopelessly_long(body_chars, limit)
        if not self._enforcing:
            return None
        spent = self._accounts.budgets.spent(tenant, now_s)
        if spent or self._queue.overtakes_all(priority, now_s):
            return spent  # nothing waits ahead: it may be accepted at once, however short the queue
        return self._queue_full(tenant, priority, 0)

    def hopeless(self, shape: RequestShape) -> Rejected | None:
        """More sequences than the engine runs."""
        return too_many_sequences(shape.total_sequences, self._engine) if self._enforcing else None

    def late_at_least(self, offer: Offer, now_s: float, *, behind: int) -> Rejected | None:
        """An offer whose shape is not known, judged by the least price there is."""
        if not self._enforcing:
            return None
        head = self._head_before(offer.priority, now_s)
        blocked = self._dispatcher.limit_of(head) if head else self._headroom.shut()
        if blocked is None:
            return self._too_late(offer, LEAST, 0.0, Limit.PREFILL, now_s)
        told = self._wait(offer, LEAST, blocked, now_s, behind=behind)
        return told if isinstance(told, Rejected) else None

    # -- by its price ----------------------------------------------------------------------

    def decide(self, offer: Offer, priced: Price, now_s: float) -> tuple[Decision, Claim | None]:
        """The decision, and the claim to grant where one was needed to decide.

        An Accepted here names no lease (id 0).
        """
        if self._settings.mode is Mode.OFF:
            return Accepted(0), None
        refusal = never_fits(priced, self._engine)
        refusal = refusal or self._accounts.refusal(offer.tenant, priced, now_s)
        if refusal:
            return refusal, None
        fit = self._fit(offer, priced, now_s)
        if isinstance(fit, Limit):
            return self._wait(offer, priced, fit, now_s), None
        late = self._too_late(offer, priced, 0.0, Limit.PREFILL, now_s)
        return (late, None) if late else (Accepted(0), fit)

    def predicted_ttft_s(self, offer: Offer, priced: Price, now_s: float) -> float:
        """Seconds to the first token, whatever the deadline, budgets and bounds of the queue."""
        fit, wait_s = self._fit(offer, priced, now_s), 0.0
        if isinstance(fit, Limit):
            ahead = self._ahead(offer, priced)
            wait_s, _ = self._headroom.wait(priced, ahead, fit, offer.priority)
        return self._needed_s(priced, wait_s, now_s)

    def _fit(self, offer: Offer, priced: Price, now_s: float) -> Limit | Claim:
        """`Headroom.fit`, or the limit of the queue's head where that goes first."""
        head = self._head_before(offer.priority, now_s)
        return (
            self._dispatcher.limit_of(head) if head else self._headroom.fit(priced, offer.priority)
        )

    def _head_before(self, priority: Priority, now_s: float) -> Ticket | None:
        """The head of the queue where it goes before a newcomer of this class."""
        first = self._queue.overtakes_all(priority, now_s)
        return None if first else self._queue.head(now_s)

    def _wait(
        self, offer: Offer, priced: Price, blocked: Limit, now_s: float, *, behind: int = 0
    ) -> Queued | Rejected:
        ahead = self._ahead(offer, priced)
        if behind and ahead.requests:
            ahead.add(ahead, behind / ahead.requests)
        wait_s, limit = self._headroom.wait(priced, ahead, blocked, offer.priority)
        refusal = self._too_late(offer, priced, wait_s, limit, now_s)
        refusal = refusal or self._queue_full(offer.tenant, offer.priority, priced.queue_tokens)
        return refusal or Queued(ahead.requests + 1, wait_s, limit)

    def _ahead(self, offer: Offer, priced: Price) -> QueueLoad:
        turn_at_s = self._dispatcher.turn_at_s(offer, priced)
        return self._queue.ahead_of(offer.tenant, offer.priority, turn_at_s)

    def _too_late(
        self, offer: Offer, priced: Price, wait_s: float, limit: Limit, now_s: float
    ) -> Rejected | None:
        if not (self._ledger.sequences or self._speed.steps.proven):
            return None  # an unmeasured engine refuses nothing, or it would never be measured
        needed_s = self._needed_s(priced, wait_s, now_s)
        allowed_s = max(0.0, offer.deadline_at_s - now_s)
        if needed_s <= allowed_s:
            return None
        return refusals.too_long(limit, needed_s=needed_s, allowed_s=allowed_s)

    def _needed_s(self, priced: Price, wait_s: float, now_s: float) -> float:
        """The later of two: its own prompt after the wait, or its first token without one."""
        needed_s = wait_s + self._speed.prefill_s(priced.prefill_tokens)
        return max(needed_s, self._headroom.first_token_s(priced, now_s))

    def _queue_full(self, tenant: str, priority: Priority, tokens: int) -> Rejected | None:
        settings = self._settings
        load = self._queue.load_up_to(priority)  # a full lower class keeps no higher one out
        own = self._queue.tenant_requests(tenant)
        if (
            load.requests < settings.queue_max_requests
            and own < settings.queue_max_requests_per_tenant
            and load.tokens + tokens <= settings.queue_max_tokens
        ):
            return None
        return refusals.queue_full(
            load.requests,
            own,
            self._dispatcher.binding,
            passes_in_s=self._headroom.through_s(load),
        )
