"""Whether a price fits now, which limit binds, and for how long: ledger against settings."""

from dataclasses import dataclass

from admission.gates.kv_margin import KvMargin
from admission.gates.tpot import Timing
from admission.ledger.claim import Claim
from admission.ledger.coming import Coming
from admission.ledger.ledger import Ledger
from admission.price.footprint import LEAST, Price
from admission.queue.waiting import QueueLoad
from admission.speed.engine_speed import EngineSpeed
from admission.terms.decision import Limit, Priority
from admission.terms.settings import Policy, Settings


@dataclass(frozen=True, slots=True)
class LimitReading:
    """One limit as one offer sees it, in its own unit (blocks, sequences, prompt tokens).

    `promised` is the most that is promised at any later step; `free_in_s` the time until what
    the offer needs is free for as long as it needs it.
    """

    limit: Limit
    unit: str
    capacity: int
    promised: int
    needed: int
    fits: bool
    free_in_s: float


class Headroom:
    """Reads one ledger and one margin; holds no state of its own but the limits in force.

    `block_limit` blocks may be promised at any one step, `slot_limit` sequences may run at once.
    """

    block_limit: int
    slot_limit: int

    def __init__(
        self,
        ledger: Ledger,
        speed: EngineSpeed,
        timing: Timing,
        margin: KvMargin,
        settings: Settings,
    ) -> None:
        self._ledger = ledger
        self._margin = margin
        self._timing = timing
        self._speed = speed
        self.reconfigure(settings)

    def reconfigure(self, settings: Settings) -> None:
        """Other limits from now on."""
        engine = self._ledger.engine
        self._settings = settings
        self._static = settings.policy is Policy.STATIC
        self._ledger.curve.keep(sigmas=settings.kv_overflow_sigmas)
        self._limit_blocks()
        static_limit = settings.static_limit if self._static else engine.max_sequences
        self.slot_limit = min(static_limit, engine.max_sequences)

    def heed_margin(self) -> None:
        """What may be promised may have changed."""
        if self._promised_ratio != self._margin.promised_ratio:
            self._limit_blocks()

    def _limit_blocks(self) -> None:
        usable_blocks = self._ledger.engine.usable_blocks
        self._promised_ratio = self._margin.promised_ratio
        self.block_limit = int(usable_blocks * self._promised_ratio)
        reserve = int(usable_blocks * self._settings.priority_reserve_ratio)
        self._block_limits = {
            priority: max(0, self.block_limit - rank * reserve)
            for rank, priority in enumerate(Priority)
        }

    def block_limit_of(self, priority: Priority) -> int:
        """Blocks that may be promised when a request of this class comes in.

        A lower class leaves the reserve of every higher one.
        """
        return self._block_limits[priority]

    def fit(
        self, priced: Price, priority: Priority = Priority.HIGH, *, waited_ratio: float = 0.0
    ) -> Limit | Claim:
        """The first limit that keeps this price out now, or the claim to grant.

        `waited_ratio` is the share of its time to the deadline that is over. An idle engine takes
        whatever can fit.
        """
        ledger = self._ledger
        idle, static = not ledger.sequences, self._static
        if not (idle or self._slots_fit(priced)):
            return Limit.SLOTS
        if not (idle or static or self._prefill_fits(priced)):
            return Limit.PREFILL
        if not (idle or static or self._timing.keeps_tpot(priced, waited_ratio)):
            return Limit.DECODE
        claim = ledger.claim(priced)
        if idle or static or ledger.curve.fits(claim.demands, self._block_limits[priority]):
            return claim
        return Limit.KV

    def shut(self) -> Limit | None:
        """The limit that keeps every request out now, whatever it asks for; None: some may fit."""
        ledger = self._ledger
        if ledger.sequences and not self._slots_fit(LEAST):
            return Limit.SLOTS
        full = ledger.backlog_tokens > self._settings.prefill_backlog_max_tokens
        return Limit.PREFILL if ledger.sequences and full and not self._static else None

    def start_steps(self, priced: Price, priority: Priority) -> int:
        """Steps until KV and slots have room for as long as this price needs it."""
        return self._start_steps(priced, priority, self._ledger.curve.coming())

    def _start_steps(self, priced: Price, priority: Priority, coming: Coming) -> int:
        return max(self._slot_steps(priced, coming), self._kv_steps(priced, priority, coming))

    def fit_before(
        self,
        priced: Price,
        priority: Priority,
        *,
        head: Price,
        of: Priority,
        start_steps: int,
    ) -> Claim | None:
        """The claim of a price that passes the head of the queue, or None.

        It must fit now, have its prompt computed before the head may start in `start_steps`, and
        leave that start where it is.
        """
        ledger = self._ledger
        if ledger.computing_steps(priced.prefill_tokens) > start_steps:
            return None
        claim = self.fit(priced, priority)
        if isinstance(claim, Limit):
            return None
        beside_it = ledger.curve.coming_with(claim.demands)
        return claim if self._start_steps(head, of, beside_it) <= start_steps else None

    def _slots_fit(self, priced: Price) -> bool:
        return self._ledger.sequences + priced.sequences <= self.slot_limit

    def _prefill_fits(self, priced: Price) -> bool:
        backlog = self._ledger.backlog_tokens
        room = self._settings.prefill_backlog_max_tokens - backlog
        # a prompt longer than the whole bound passes when nothing else is being computed
        return not backlog or priced.prefill_tokens <= room

    def _kv_fits(self, priced: Price, priority: Priority) -> bool:
        ledger, limit = self._ledger, self._block_limits[priority]
        return ledger.curve.fits(ledger.claim(priced).demands, limit)

    def first_token_s(self, priced: Price, now_s: float) -> float:
        """Seconds until the first token of a request that is let in now; `static` does not ask."""
        if self._static:
            return 0.0
        return self._timing.first_token_at_most_s(priced.prefill_tokens, now_s)

    # -- how long --------------------------------------------------------------------------

    def wait(
        self, priced: Price, ahead: QueueLoad, blocked: Limit, priority: Priority = Priority.HIGH
    ) -> tuple[float, Limit]:
        """Seconds until acceptance, and the limit that takes longest.

        First those running make room for one like this; then those ahead pass through the engine
        at the rate its blocks, its slots and its prefill allow. A fluid approximation: the error
        is of the order of one request's life.
        """
        waits = {Limit.SLOTS: self._slots_s(priced) + self._through_slots_s(ahead)}
        if not self._static:
            waits[Limit.KV] = self._kv_s(priced, priority) + self._through_kv_s(ahead)
            waits[Limit.PREFILL] = self._speed.prefill_s(
                self._ledger.backlog_tokens + ahead.prefill_tokens
            )
        longest = max(waits, key=waits.__getitem__)
        return waits[longest], longest if waits[longest] > 0 else blocked

    def _kv_s(self, priced: Price, priority: Priority) -> float:
        coming = self._ledger.curve.coming()
        return self._speed.waiting_s(self._kv_steps(priced, priority, coming))

    def _kv_steps(self, priced: Price, priority: Priority, coming: Coming) -> int:
        """By what is expected to be held, with as much beside it for surprises as now."""
        if not priced.expected_steps:
            return 0  # LEAST: what holds nothing for no time fits at once
        needed = priced.expected_blocks - priced.held_blocks
        room = self._block_limits[priority] - coming.surprise - needed
        return coming.steps_until_blocks(max(0, room), for_steps=priced.expected_steps)

    def _slots_s(self, priced: Price) -> float:
        return self._speed.waiting_s(self._slot_steps(priced, self._ledger.curve.coming()))

    def _slot_steps(self, priced: Price, coming: Coming) -> int:
        room = max(0, self.slot_limit - priced.sequences)
        return coming.steps_until_sequences(room, for_steps=1)

    def through_s(self, load: QueueLoad) -> float:
        """Seconds in which the engine serves this load: its blocks x steps, or its sequences."""
        slots_s = self._through_slots_s(load)
        return slots_s if self._static else max(slots_s, self._through_kv_s(load))

    def _through_kv_s(self, load: QueueLoad) -> float:
        return self._speed.waiting_s(load.area_block_steps / max(1, self.block_limit))

    def _through_slots_s(self, load: QueueLoad) -> float:
        return self._speed.waiting_s(load.sequence_steps / max(1, self.slot_limit))

    # -- explaining ------------------------------------------------------------------------

    def budgets(
        self, priced: Price, priority: Priority = Priority.HIGH
    ) -> tuple[LimitReading, ...]:
        """Every limit beside what this price needs of it; what `fit` decides by."""
        ledger, slots, blocks = self._ledger, self.slot_limit, self._block_limits[priority]
        backlog = ledger.backlog_tokens
        return (
            LimitReading(
                limit=Limit.KV,
                unit="blocks",
                capacity=blocks,
                promised=ledger.curve.peak(),
                needed=priced.blocks_peak - priced.held_blocks,
                fits=self._kv_fits(priced, priority),
                free_in_s=self._kv_s(priced, priority),
            ),
            LimitReading(
                limit=Limit.SLOTS,
                unit="sequences",
                capacity=slots,
                promised=ledger.sequences,
                needed=priced.sequences,
                fits=self._slots_fit(priced),
                free_in_s=self._slots_s(priced),
            ),
            LimitReading(
                limit=Limit.PREFILL,
                unit="tokens",
                capacity=self._settings.prefill_backlog_max_tokens,
                promised=backlog,
                needed=priced.prefill_tokens,
                fits=self._prefill_fits(priced),
                free_in_s=self._speed.prefill_s(backlog),
            ),
            *self._decode_budget(priced),
        )

    def _decode_budget(self, priced: Price) -> tuple[LimitReading, ...]:
        """In ms of a decode-only step; `fits` also counts the sequences that the prompt slows."""
        bound_s, timing = self._settings.tpot_target_s, self._timing
        if bound_s is None:
            return ()
        step_ms = round(timing.decode_step_s() * 1000)
        with_it_ms = round(timing.decode_step_s(priced.sequences, priced.prompt_tokens) * 1000)
        return (
            LimitReading(
                limit=Limit.DECODE,
                unit="ms",
                capacity=round(bound_s * 1000),
                promised=step_ms,
                needed=with_it_ms - step_ms,
                fits=timing.keeps_tpot(priced),
                free_in_s=timing.paced_s(self._ledger.backlog_tokens),
            ),
        )
