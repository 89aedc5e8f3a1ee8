"""Decides on every request by facts and times passed in: offer, progress, release, tick."""

from collections import Counter
from dataclasses import replace

from admission.dispatch import Dispatcher
from admission.exchange import Answer, StepRecord, Turn
from admission.gates.freshness import Freshness
from admission.gates.headroom import Headroom
from admission.gates.heartbeat import Heartbeat, Patience
from admission.gates.kv_margin import KvMargin
from admission.gates.slack import Slack
from admission.gates.tpot import Timing
from admission.judge import Judge
from admission.leases import Leases
from admission.ledger.claim import Claim
from admission.ledger.comparison import Comparison
from admission.ledger.ledger import Ledger
from admission.price.coverage import Coverage
from admission.price.footprint import EngineShape, Price, RequestShape
from admission.price.lengths import OutputLengths
from admission.price.offer import Offer, Quote
from admission.price.prefixes import Prefixes
from admission.price.quote import quote
from admission.price.unfinished import Unfinished
from admission.queue.accounts import Accounts, TenantView
from admission.queue.budgets import Standing
from admission.queue.waiting import WaitingQueue
from admission.snapshot import (
    CacheReading,
    CoverageReading,
    DecisionContext,
    EngineSigns,
    Explanation,
    Limits,
    Occupancy,
    Snapshot,
    SpeedReading,
)
from admission.speed.engine_speed import EngineSpeed
from admission.speed.linear_steps import StepCoefficients
from admission.speed.step_fit import TimedStep
from admission.terms import refusals
from admission.terms.decision import Accepted, Decision, Limit, Priority, Queued, Rejected
from admission.terms.settings import Mode, Settings

__all__ = ["Answer", "Controller", "Offer", "Quote", "StepRecord", "Turn"]


class Controller:
    """Admission for one engine. Synchronous and deterministic; reads no clock."""

    def __init__(
        self,
        engine: EngineShape,
        settings: Settings,
        patience: Patience | None = None,
        *,
        confirms_ends: bool = False,
    ) -> None:
        self.engine = engine
        self.settings = settings
        self.ledger = Ledger(engine)
        unfinished = Unfinished(self.ledger.generated_tokens)
        self.lengths = OutputLengths(unfinished.produced)
        self.prefixes = Prefixes(engine)
        self.speed = EngineSpeed()
        self.margin = KvMargin(settings.kv_headroom_ratio)
        self.freshness = Freshness()
        self.heartbeat = Heartbeat(patience or Patience())
        slack = Slack()
        self.timing = Timing(self.ledger, self.speed, slack, settings)
        self.headroom = Headroom(self.ledger, self.speed, self.timing, self.margin, settings)
        self.queue = WaitingQueue(settings)
        self.accounts = Accounts(engine, self.queue, self.speed, settings)
        self.draining = False
        self.engine_down = False
        self.comparison: Comparison | None = None  # at the last record; None: it told no cache use
        self._leases = Leases(
            self.ledger, self.lengths, self.prefixes, slack, self.timing.first_tokens, unfinished
        )
        self._leases.pending_aborts.confirms_ends = confirms_ends
        self._dispatcher = Dispatcher(
            self.queue,
            self.headroom,
            self.accounts,
            lessons=lambda: (self.lengths.version, self.prefixes.version),
            quote=self.quote,
            grant=self._grant,
        )
        self._judge = Judge(
            settings,
            ledger=self.ledger,
            headroom=self.headroom,
            speed=self.speed,
            queue=self.queue,
            accounts=self.accounts,
            dispatcher=self._dispatcher,
        )

    # -- deciding --------------------------------------------------------------------------

    def precheck(
        self, tenant: str, body_chars: int, priority: Priority = Priority.NORMAL, *, now_s: float
    ) -> Rejected | None:
        """The refusals that need no tokens.

        Draining, engine down, hopelessly long, budget used up, queue full.
        """
        return self._closed() or self._judge.precheck(tenant, body_chars, priority, now_s)

    def hopeless(self, shape: RequestShape) -> Rejected | None:
        """More sequences than the engine runs; asked before a price is worked out.

        A small body may ask for millions of them, and adding them up would block every request.
        """
        return self._judge.hopeless(shape)

    def late_at_least(
        self,
        tenant: str,
        priority: Priority,
        *,
        deadline_at_s: float,
        now_s: float,
        behind: int = 0,
    ) -> Rejected | None:
        """The refusal of a request whose first token comes too late whatever its body asks for.

        By the wait of the least price there is: what this refuses, `offer` refuses now as well.
        `behind` more requests, each like the mean of the queue, are assumed to be ahead of it.
        """
        if self._closed():
            return None
        offer = Offer(tenant, priority, RequestShape(()), now_s, deadline_at_s)
        return self._judge.late_at_least(offer, now_s, behind=behind)

    @property
    def closed(self) -> bool:
        """Whether every request is refused now: draining, engine down or silent."""
        return self._closed() is not None

    def _closed(self) -> Rejected | None:
        closed = self._closed_for_good()
        return closed or (self._engine_silent() if self.heartbeat.hung else None)

    def _closed_for_good(self) -> Rejected | None:
        if self.engine_down:
            return refusals.engine_down()
        return refusals.draining() if self.draining else None

    def _engine_silent(self) -> Rejected:
        return refusals.engine_silent(self.heartbeat.silent_s)

    def quote(self, offer: Offer) -> Quote:
        """Price an offer under the policy in force."""
        shape = self.prefixes.look_up(offer.shape, self.ledger.shared_prefixes.known)
        found = offer if shape is offer.shape else replace(offer, shape=shape)
        return quote(found, self.engine, self.lengths, self.settings)

    def offer(self, offer: Offer, now_s: float) -> Answer:
        """Decide on a newcomer: a lease, a place in the queue, or a refusal."""
        quote = self.quote(offer)
        closed = self._closed()
        if closed:
            return Answer(closed, quote, closed)
        would, claim = self._judge.decide(offer, quote.price, now_s)
        enforcing = self.settings.mode is Mode.ENFORCE
        if isinstance(would, Rejected) and enforcing:
            return Answer(would, quote, would)
        self.accounts.enter(offer.tenant, quote.price)
        if isinstance(would, Queued) and enforcing:
            return Answer(would, quote, would, self._dispatcher.join(offer, quote, would.limit))
        if isinstance(would, Queued):
            self._dispatcher.binding = would.limit  # in mode shadow it would have waited
        accepted = Accepted(self._grant(offer, quote, claim, quote.price, now_s))
        return Answer(accepted, quote, accepted if isinstance(would, Accepted) else would)

    def judge(self, offer: Offer, quote: Quote, now_s: float) -> Decision:
        """The `would` of `offer`, changing nothing. An Accepted here names no lease (id 0)."""
        closed = self._closed()
        return closed or self._judge.decide(offer, quote.price, now_s)[0]

    def predicted_ttft_s(self, offer: Offer, now_s: float) -> float:
        """Seconds to the first token of an offer made now, as `offer` decides by; changes nothing.

        Whatever its deadline; budgets and full queues are not looked at.
        """
        return self._judge.predicted_ttft_s(offer, self.quote(offer).price, now_s)

    def overdue(self, waited_s: float, *, allowed_s: float) -> Rejected:
        """The refusal of an accepted request without a first token; the caller aborts it."""
        if self.engine_down or self.heartbeat.hung:
            return self._closed() or self._engine_silent()
        return refusals.no_first_token(waited_s, allowed_s=allowed_s)

    # -- the queue -------------------------------------------------------------------------

    @property
    def binding(self) -> Limit | None:
        """What bound the last decision that had to wait."""
        return self._dispatcher.binding

    def leave_queue(self, ticket_id: int) -> None:
        """The client of a waiting request left; a ticket that already had its turn is ignored."""
        self._dispatcher.leave(ticket_id)

    def tick(self, now_s: float) -> list[Turn]:
        """Move the queue: refuse requests past their deadline, accept heads while they fit."""
        self._leases.free_due(now_s)
        self._heed_engine(now_s)
        closed = self._closed_for_good()
        if closed:
            return self._dispatcher.close(closed)
        if self.heartbeat.hung:  # it may wake up: those that still have time wait on
            return self._dispatcher.expire(now_s, self._engine_silent())
        return self._dispatcher.move(self.settings, now_s)

    # -- leases ----------------------------------------------------------------------------

    def _grant(
        self,
        offer: Offer,
        quote: Quote,
        claim: Claim | None,
        entered: Price,
        now_s: float,
    ) -> int:
        """Open the lease of a request entered at a price."""
        if not self.ledger.sequences:
            self.timing.step_begins(now_s)
        first_token_s = self.timing.first_token_s(quote.price.prefill_tokens, now_s)
        lease = self._leases.grant(offer, quote, claim, self.settings)
        lease_id = lease.lease_id
        if first_token_s and len(lease.rows) == 1:  # of several the first comes sooner
            self.timing.first_tokens.expect(lease.rows[0], now_s + first_token_s)
        self.accounts.charge(lease_id, offer.tenant, offer.priority, quote.price, entered=entered)
        return lease_id

    def enlarge(self, offer: Offer) -> int:
        """A further lease for an answer already begun (a tool turn): counted, never refused."""
        quote = self.quote(offer)
        self.accounts.enter(offer.tenant, quote.price)
        return self._grant(offer, quote, None, quote.price, offer.arrived_at_s)

    def rows_of(self, lease_id: int) -> tuple[int, ...]:
        """Ledger rows of a lease's sequences in the engine's order: prompt by prompt, then n.

        All of them, ended or not. A row's number names one sequence and is never used again.
        """
        return self._leases.rows_of(lease_id)

    def progress(self, record: StepRecord, now_s: float) -> list[Turn]:
        """Apply one step record (growth, ends, step time), then move the queue."""
        steps = self._leases.advance(record, self.settings, now_s)
        self.heartbeat.step(now_s)
        self.timing.step_begins(now_s)
        record = self._learn_speed(record, steps, now_s)
        self._leases.free_due(now_s)
        self._compare(record, now_s)
        return self.tick(now_s)

    def _learn_speed(self, record: StepRecord, steps: float, now_s: float) -> StepRecord:
        """Learn what steps take; returns the record, without its time where that is an outlier."""
        known = self.speed.coefficients
        step = TimedStep(
            record.prefill_tokens,
            record.decode_tokens,
            self.ledger.held_blocks * self.engine.block_tokens,
            record.elapsed_s,
        )
        believed = self.speed.observe(step, clock_steps=steps, now_s=now_s)
        learned = self.speed.coefficients
        if learned is not None and learned is not known:
            self._use_step_times(learned)
        if self.speed.surprised:
            self.timing.first_tokens.start_over()
        return record if believed else replace(record, elapsed_s=0.0)

    def _compare(self, record: StepRecord, now_s: float) -> None:
        """Compare the ledger with the cache use that the engine reports."""
        used_ratio = record.kv_used_ratio
        self.comparison = None if used_ratio is None else self._leases.compare(used_ratio)
        self.margin.preempted(record.preempted)
        if self.comparison is not None:
            self.margin.heed(self.comparison)
        usage_known = self.comparison is not None
        self.freshness.hear(elapsed_s=record.elapsed_s, usage_known=usage_known, now_s=now_s)

    def _heed_engine(self, now_s: float) -> None:
        running = self.ledger.sequences > 0
        self.heartbeat.look(running=running, now_s=now_s)
        self.freshness.look(running=running, now_s=now_s)
        self.margin.stale = self.freshness.stale
        self.margin.pass_time(now_s)
        self.headroom.heed_margin()

    def learn(self, lease_id: int, row: int, output_tokens: int, *, cut: bool = False) -> None:
        """An answer ended, by itself or (`cut`) at its limit: teach its class its length."""
        self._leases.learn(lease_id, row, output_tokens, cut=cut)

    def release(self, lease_id: int, now_s: float, *, in_engine: bool) -> list[Turn]:
        """The request is over; its lease ends once, a second release changes nothing.

        With `in_engine`, rows not yet reported as ended still count until the engine has had time
        to hear of the abort: a few step records, or a second without any.
        """
        in_engine = in_engine and not self.engine_down
        used = self._leases.release(lease_id, now_s, in_engine=in_engine)
        if used is None:
            return []
        self.accounts.settle(lease_id, used)
        return self.tick(now_s)

    @property
    def ends_to_confirm(self) -> bool:
        """Whether the engine is still to be asked if it has heard of all ends known here."""
        return self._leases.pending_aborts.unheard

    def confirm_ends(self, asked_at_s: float, now_s: float) -> None:
        """The engine answered what it was asked at `asked_at_s`: it heard of all earlier ends."""
        self._leases.pending_aborts.confirm(asked_at_s, now_s)

    @property
    def engine_idle(self) -> bool:
        """Whether no sequence runs, so that no step record is due."""
        return not self.ledger.sequences

    def pinged(self, now_s: float) -> None:
        """An idle engine was asked for a sign of life."""
        self.heartbeat.ping(now_s)

    def ping_answered(self, now_s: float) -> None:
        """It gave one."""
        self.heartbeat.answered(now_s)

    def engine_died(self) -> None:
        """It is gone for good, by itself or because it was given up."""
        self.engine_down = True

    @property
    def coverage(self) -> Coverage:
        """How often answers were no longer than predicted."""
        return self._leases.coverage

    # -- readings --------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """Everything that operators may know, read at once; for one decision read `context`."""
        return Snapshot(
            engine=self.engine,
            settings=self.settings,
            draining=self.draining,
            binding=self.binding,
            occupancy=Occupancy.of(self.ledger, self.queue),
            limits=Limits.of(self.ledger, self.headroom, self.margin),
            cache=CacheReading.of(self.prefixes),
            speed=SpeedReading.of(
                self.speed,
                self.timing.first_tokens,
                cost_measured=self.accounts.cost.measured,
            ),
            coverage=CoverageReading.of(self.coverage, self.settings.output_quantile),
            signs=self.signs,
        )

    @property
    def signs(self) -> EngineSigns:
        """Signs of life, and whether statistics arrive, as of the last tick or record."""
        return EngineSigns.of(self.heartbeat, self.freshness, down=self.engine_down)

    def context(self, offer: Offer, now_s: float) -> DecisionContext:
        """What a decision on this offer meets now."""
        headroom = self.headroom
        return DecisionContext(
            engine=self.engine,
            settings=self.settings,
            occupancy=Occupancy.of(self.ledger, self.queue),
            account=self.account(offer.tenant, now_s),
            reserved_blocks=headroom.block_limit - headroom.block_limit_of(offer.priority),
        )

    def explain(self, offer: Offer, now_s: float) -> Explanation:
        """Decide on an offer without making it."""
        quote, headroom = self.quote(offer), self.headroom
        with_reserve = headroom.fit(quote.price, offer.priority) is Limit.KV
        return Explanation(
            quote=quote,
            decision=self.judge(offer, quote, now_s),
            budgets=tuple(headroom.budgets(quote.price, offer.priority)),
            context=self.context(offer, now_s),
            tenant_waiting=self.queue.tenant_requests(offer.tenant),
            reserve_binds=with_reserve and headroom.fit(quote.price) is not Limit.KV,
        )

    def account(self, tenant: str, now_s: float) -> TenantView:
        """What a tenant was served and may still take."""
        return self.accounts.view(tenant, now_s)

    def standing(self, tenant: str, now_s: float) -> Standing | None:
        """What is left of a tenant's budgets per minute; None where it has none."""
        return self.accounts.budgets.standing(tenant, now_s)

    def waiting_by_tenant(self) -> Counter[str]:
        """Requests in the queue, by tenant."""
        return Counter(ticket.tenant for ticket in self.queue)

    def blocks_held_by(self, lease_id: int | None) -> int:
        """Blocks of one lease; 0 when it is over."""
        lease = None if lease_id is None else self.ledger.leases.get(lease_id)
        return 0 if lease is None else self.ledger.lease_blocks(lease)

    # -- changing course -------------------------------------------------------------------

    def reconfigure(self, settings: Settings) -> None:
        """New settings from now on: nothing running is touched, the queue is priced anew."""
        self.settings = settings
        self._judge.reconfigure(settings)
        self.timing.reconfigure(settings)
        self.margin.reconfigure(settings.kv_headroom_ratio)
        self.headroom.reconfigure(settings)
        self.accounts.reconfigure(settings)
        self.lengths.version += 1  # every waiting price is stale

    def know_step_times(self, coefficients: StepCoefficients) -> None:
        """Start from these step times; measured steps correct them."""
        self.speed.begin_with(coefficients)
        self._use_step_times(coefficients)

    def _use_step_times(self, coefficients: StepCoefficients) -> None:
        """Charge tenants by these from now on, and have patience with the engine."""
        self.accounts.cost.learn(coefficients)
        self.heartbeat.longest_step_s = coefficients.seconds(
            prefill_tokens=self.engine.max_batched_tokens,
            decode_sequences=self.engine.max_sequences,
            context_tokens=self.engine.capacity_tokens,
        )

    def outgrown(self) -> list[int]:
        """Unreleased leases with a completion that runs beyond its price."""
        return self._leases.outgrown()
