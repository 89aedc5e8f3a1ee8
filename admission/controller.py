"""The only judge: offer, progress, release, tick. Told the facts and the time, it answers."""

from dataclasses import dataclass

from admission.decision import Accepted, Decision, Limit, Priority, Queued, Reason, Rejected
from admission.footprint import EngineShape, Price, RequestShape, never_fits, price
from admission.headroom import Headroom
from admission.ledger import Lease, Ledger, Rows
from admission.lengths import ClassKey, OutputLengths, Prediction, class_keys
from admission.pace import Pace
from admission.settings import Mode, Policy, Settings
from admission.waiting import Load, Ticket, WaitingLine

_CHARS_PER_TOKEN_MAX = 32  # no vocabulary packs more; a longer body cannot fit whatever it says
_ADMITTED_PER_PASS = 64  # bounds one pass over the line; the next event continues
_LINGER_S = 1.0  # an idle engine sends no step records: what was aborted is gone by then
_DRAIN_RETRY_S = 5.0  # long enough for another server to be found
_DOWN_RETRY_S = 15.0  # about half an engine start: the second try meets a living one


@dataclass(frozen=True, slots=True)
class Offer:
    """A request at the door. `deadline_at_s` is the instant its first token is due."""

    tenant: str
    priority: Priority
    shape: RequestShape
    arrived_at_s: float
    deadline_at_s: float


@dataclass(frozen=True, slots=True)
class Quote:
    """The price of an offer and the predictions it rests on, one per prompt."""

    price: Price
    predictions: tuple[Prediction, ...]
    keys: tuple[tuple[ClassKey, ...], ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What `offer` says. `would` differs from `decision` only outside mode enforce.

    `ticket_id` names the place in line of a Queued request; its Turn comes later.
    """

    decision: Decision
    quote: Quote
    would: Decision
    ticket_id: int | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """News for one waiting request: accepted, or refused because its time is up."""

    ticket_id: int
    decision: Accepted | Rejected
    quote: Quote


@dataclass(frozen=True, slots=True)
class StepRecord:
    """What the engine reported of one step.

    `rows` are the ledger rows of the running sequences and `generated` their tokens so far.
    `prefill_tokens` were computed in the step, `cached_tokens` found in the prefix cache by the
    requests it started. `ended` are rows the engine has freed; `ending` those whose end it hears
    of only with the next message (stop strings, aborts). `elapsed_s` is 0 where not reported.
    """

    rows: Rows
    generated: Rows
    prefill_tokens: int = 0
    cached_tokens: int = 0
    decode_tokens: int = 0
    elapsed_s: float = 0.0
    ended: tuple[int, ...] = ()
    ending: tuple[int, ...] = ()


@dataclass(slots=True, eq=False)
class _Granted:
    lease: Lease
    offer: Offer
    quote: Quote


@dataclass(slots=True, eq=False)
class _Waiting:
    offer: Offer
    quote: Quote
    lessons: int  # what the length predictions had learned when it was priced
    limit: Limit


class Controller:
    """Admission for one engine. Synchronous, deterministic, never aware of a clock."""

    def __init__(self, engine: EngineShape, settings: Settings) -> None:
        self.engine = engine
        self.settings = settings
        self.ledger = Ledger(engine)
        self.lengths = OutputLengths()
        self.pace = Pace()
        self.headroom = Headroom(self.ledger, self.pace, settings)
        self.line = WaitingLine()
        self.draining = False
        self.engine_down = False
        self.binding: Limit | None = None  # what bound the last decision that had to wait
        self._granted: dict[int, _Granted] = {}
        self._waiting: dict[int, _Waiting] = {}
        self._next_ticket = 1
        # rows the engine is about to free: (records still to come, instant at the latest, row)
        self._lingering: list[tuple[int, float, int]] = []

    # -- deciding --------------------------------------------------------------------------

    def precheck(self, tenant: str, body_chars: int) -> Rejected | None:
        """The refusals that need no tokens: draining, engine down, hopelessly long, line full."""
        closed = self._closed()
        if closed:
            return closed
        limit = self.engine.max_model_len
        if body_chars > _CHARS_PER_TOKEN_MAX * limit:
            return Rejected(
                Reason.NEVER_FITS,
                f"The body has {body_chars} characters; the model takes {limit} tokens in all.",
                limit=Limit.KV,
            )
        return self._line_full(tenant, 0) if self._enforcing else None

    def _closed(self) -> Rejected | None:
        if self.engine_down:
            why = "The engine stopped and is being restarted."
            return Rejected(Reason.ENGINE_DOWN, why, retry_after_s=_DOWN_RETRY_S)
        if self.draining:
            why = "The gateway is draining: it finishes what runs and takes nothing new."
            return Rejected(Reason.DRAINING, why, retry_after_s=_DRAIN_RETRY_S)
        return None

    def quote(self, offer: Offer) -> Quote:
        """Price an offer under the policy in force."""
        shape, settings = offer.shape, self.settings
        keys = tuple(class_keys(offer.tenant, p.prompt_tokens, p.max_tokens) for p in shape.prompts)
        predictions = tuple(
            self.lengths.predict(
                key,
                settings,
                max_tokens=prompt.max_tokens,
                min_tokens=shape.min_tokens,
                ignore_eos=shape.ignore_eos,
            )
            for key, prompt in zip(keys, shape.prompts, strict=True)
        )
        worst = settings.policy is Policy.WORST_CASE
        outputs = tuple(
            prompt.max_tokens if worst else predicted.tokens
            for prompt, predicted in zip(shape.prompts, predictions, strict=True)
        )
        return Quote(price(shape, self.engine, outputs, reserve=worst), predictions, keys)

    def offer(self, offer: Offer, now_s: float) -> Answer:
        """Decide on a newcomer: a lease, a place in line, or a refusal."""
        quote = self.quote(offer)
        would = self._closed() or self.judge(offer, quote, now_s)
        if not self._enforcing and not isinstance(would, Rejected | Queued):
            would = Accepted(0)
        if isinstance(would, Accepted) or (not self._enforcing and not self._closed()):
            granted = Accepted(self._grant(offer, quote).lease_id)
            return Answer(granted, quote, granted if isinstance(would, Accepted) else would)
        if isinstance(would, Rejected):
            return Answer(would, quote, would)
        return Answer(would, quote, would, self._join(offer, quote, would.limit))

    @property
    def _enforcing(self) -> bool:
        return self.settings.mode is Mode.ENFORCE

    def judge(self, offer: Offer, quote: Quote, now_s: float) -> Decision:
        """What `offer` would answer, changing nothing. An Accepted here names no lease (id 0)."""
        priced = quote.price
        impossible = never_fits(offer.shape, priced, self.engine)
        if impossible:
            return impossible
        blocked = self._blocked(offer, priced)
        if blocked is None:
            return Accepted(0)
        ahead = self.line.ahead_of(offer.tenant, offer.priority)
        wait_s, limit = self.headroom.wait(priced, ahead, blocked)
        refusal = self._too_late(offer, priced, wait_s, limit, now_s)
        refusal = refusal or self._line_full(offer.tenant, priced.line_tokens)
        return refusal or Queued(ahead.requests + 1, wait_s, limit)

    def _blocked(self, offer: Offer, priced: Price) -> Limit | None:
        """What keeps a newcomer out: those in line before it, or a limit of the engine."""
        if self.line.overtakes_all(offer.priority):
            return self.headroom.blocking(priced)
        head = self.line.head()
        return self._waiting[head.ticket_id].limit if head else None

    def _too_late(
        self, offer: Offer, priced: Price, wait_s: float, limit: Limit, now_s: float
    ) -> Rejected | None:
        first_token_s = wait_s + self.pace.prefill_s(priced.prefill_tokens)
        allowed_s = max(0.0, offer.deadline_at_s - now_s)
        return _too_long(limit, first_token_s, allowed_s) if first_token_s > allowed_s else None

    def _line_full(self, tenant: str, tokens: int) -> Rejected | None:
        settings, load = self.settings, self.line.load
        own = self.line.tenant_requests(tenant)
        if (
            load.requests < settings.line_max_requests
            and own < settings.line_max_requests_per_tenant
            and load.tokens + tokens <= settings.line_max_tokens
        ):
            return None
        return Rejected(
            Reason.LINE_FULL,
            f"The waiting line is full: {load.requests} requests, {own} of them from this tenant.",
            limit=self.binding,
            retry_after_s=max(1.0, self.headroom.through_kv_s(load)),
        )

    # -- the line --------------------------------------------------------------------------

    def _join(self, offer: Offer, quote: Quote, limit: Limit) -> int:
        ticket_id = self._next_ticket
        self._next_ticket += 1
        self.line.add(
            Ticket(ticket_id, offer.tenant, offer.priority, quote.price, offer.deadline_at_s)
        )
        self._waiting[ticket_id] = _Waiting(offer, quote, self.lengths.version, limit)
        self.binding = limit
        return ticket_id

    def leave_line(self, ticket_id: int) -> None:
        """The client of a waiting request left; a ticket that already had its turn is ignored."""
        if self.line.remove(ticket_id):
            del self._waiting[ticket_id]

    def tick(self, now_s: float) -> list[Turn]:
        """Let the line move: turn away whose time is up, accept heads while they fit."""
        self._free_lingering(now_s, records=0)
        closed = self._closed()
        if closed:
            return [self._turn_away(t, closed) for t in list(self.line)]
        turns = [self._turn_away(t, self._expiry(t)) for t in self.line.expired(now_s)]
        while len(turns) < _ADMITTED_PER_PASS:
            head = self.line.head()
            if head is None or not self._may_pass(head):
                break
            turns.append(self._pass(head))
        return turns

    def _may_pass(self, head: Ticket) -> bool:
        waiting = self._waiting[head.ticket_id]
        if waiting.lessons != self.lengths.version:
            waiting.quote, waiting.lessons = self.quote(waiting.offer), self.lengths.version
        if not self._enforcing:
            return True
        blocked = self.headroom.blocking(waiting.quote.price)
        if blocked:
            waiting.limit = self.binding = blocked
        return blocked is None

    def _pass(self, head: Ticket) -> Turn:
        self.line.remove(head.ticket_id)
        waiting = self._waiting.pop(head.ticket_id)
        lease = self._grant(waiting.offer, waiting.quote)
        return Turn(head.ticket_id, Accepted(lease.lease_id), waiting.quote)

    def _turn_away(self, ticket: Ticket, refusal: Rejected) -> Turn:
        self.line.remove(ticket.ticket_id)
        return Turn(ticket.ticket_id, refusal, self._waiting.pop(ticket.ticket_id).quote)

    def _expiry(self, ticket: Ticket) -> Rejected:
        waiting = self._waiting[ticket.ticket_id]
        allowed_s = waiting.offer.deadline_at_s - waiting.offer.arrived_at_s
        more_s, _ = self.headroom.wait(ticket.price, Load(), waiting.limit)
        return _too_long(waiting.limit, allowed_s + more_s, allowed_s)

    # -- leases ----------------------------------------------------------------------------

    def _grant(self, offer: Offer, quote: Quote) -> Lease:
        lease = self.ledger.grant(quote.price)
        self._granted[lease.lease_id] = _Granted(lease, offer, quote)
        self.line.charge(offer.tenant, quote.price)
        return lease

    def rows_of(self, lease_id: int) -> tuple[int, ...]:
        """Ledger rows of a lease's sequences in the engine's order: prompt by prompt, then n."""
        return tuple(self._granted[lease_id].lease.branches)

    def progress(self, record: StepRecord, now_s: float) -> list[Turn]:
        """Take in one step: who grew, who ended, how fast it went; then let the line move."""
        self.pace.observe(
            elapsed_s=record.elapsed_s,
            prefill_tokens=record.prefill_tokens,
            decode_tokens=record.decode_tokens,
        )
        self.ledger.prefilled(record.prefill_tokens + record.cached_tokens)
        for row in record.ended:
            self._end_row(row)
        self._free_lingering(now_s, records=1)
        self._linger(record.ending, now_s)
        for row in self.ledger.progress(record.rows, record.generated):
            self._outlived(int(row))
        return self.tick(now_s)

    def _outlived(self, row: int) -> None:
        """Price anew a sequence that has produced all it was predicted to."""
        lease = self.ledger.lease_of(row)
        granted = self._granted.get(lease.lease_id)
        if granted is None:
            return
        prompt = lease.prompt_of[row]
        limit = granted.offer.shape.prompts[prompt].max_tokens
        produced = self.ledger.generated_tokens(row)
        if self.ledger.predicted_tokens(row) >= limit:
            return
        lease.outgrew = True
        total = self.lengths.extend(
            granted.quote.keys[prompt], self.settings, produced=produced, max_tokens=limit
        )
        self.ledger.repredict(row, total)

    def learn(self, lease_id: int, row: int, output_tokens: int) -> None:
        """An answer ended by itself: teach its class. Lengths the client fixed teach nothing."""
        granted = self._granted.get(lease_id)
        if granted is None or granted.offer.shape.ignore_eos or granted.offer.shape.min_tokens:
            return
        prompt = granted.lease.prompt_of[row]
        self.lengths.learn(granted.quote.keys[prompt], output_tokens)

    def release(self, lease_id: int, now_s: float, *, in_engine: bool) -> list[Turn]:
        """The request is over; its lease ends once, a second release changes nothing.

        With `in_engine`, rows not yet reported as ended still count until the engine has had time
        to hear of the abort: a few step records, or a second without any.
        """
        granted = self._granted.pop(lease_id, None)
        if granted is None:
            return []
        if in_engine and granted.lease.branches and not self.engine_down:
            self._linger(tuple(granted.lease.branches), now_s)
        else:
            self._forget_lingering(granted.lease)
            self.ledger.close(lease_id)
        return self.tick(now_s)

    def _linger(self, rows: tuple[int, ...], now_s: float) -> None:
        known = {row for _, _, row in self._lingering}
        records = 2 + self.engine.lookahead_tokens
        self._lingering += [(records, now_s + _LINGER_S, row) for row in rows if row not in known]

    def _forget_lingering(self, lease: Lease) -> None:
        gone = set(lease.branches)
        self._lingering = [entry for entry in self._lingering if entry[2] not in gone]

    def _free_lingering(self, now_s: float, *, records: int) -> None:
        due = [e for e in self._lingering if e[0] <= records or now_s >= e[1]]
        if self._lingering and (records or due):
            gone = {row for _, _, row in due}
            self._lingering = [
                (left - records, until_s, row)
                for left, until_s, row in self._lingering
                if row not in gone
            ]
        for _, _, row in due:
            self._end_row(row)

    def _end_row(self, row: int) -> None:
        lease = self.ledger.lease_of(row)
        self.ledger.end_sequence(row)
        if not lease.branches and lease.lease_id not in self._granted:
            self.ledger.close(lease.lease_id)

    # -- changing course -------------------------------------------------------------------

    def reconfigure(self, settings: Settings) -> None:
        """New settings from now on: nothing running is touched, the line is priced anew."""
        self.settings = self.headroom.settings = settings
        self.lengths.version += 1  # every waiting price is stale

    def outgrown(self) -> list[int]:
        """Leases of which some answer became longer than its price."""
        return [lease_id for lease_id, lease in self.ledger.leases.items() if lease.outgrew]


def _too_long(limit: Limit, needed_s: float, allowed_s: float) -> Rejected:
    reason, what = _REFUSAL_OF[limit]
    return Rejected(
        reason,
        f"{what}: the first token would take about {needed_s:.1f} s, this request allows "
        f"{allowed_s:.1f} s.",
        limit=limit,
        retry_after_s=max(1.0, needed_s - allowed_s),
    )


_REFUSAL_OF: dict[Limit, tuple[Reason, str]] = {
    Limit.KV: (Reason.KV_CAPACITY, "The KV cache is taken"),
    Limit.SLOTS: (Reason.SLOTS, "Every sequence slot is taken"),
    Limit.PREFILL: (Reason.TTFT_SLO, "Too many prompts wait to be computed"),
    Limit.DECODE: (Reason.TPOT_SLO, "Another answer would slow the running ones down"),
}
