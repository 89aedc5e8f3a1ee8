"""What admission knows at one instant, as frozen plain values.

State, metrics, alarms and the decision record are made of these readings; nothing outside
`admission` reads the parts of the controller. `Controller.snapshot` reads everything,
`Controller.context` only what one decision record needs: it runs with every decision.
"""

from dataclasses import dataclass

from admission.gates.first_token import FirstTokens
from admission.gates.freshness import Freshness
from admission.gates.headroom import Headroom, LimitReading
from admission.gates.heartbeat import Heartbeat
from admission.gates.kv_margin import KvMargin
from admission.ledger.ledger import Ledger
from admission.price.coverage import Coverage
from admission.price.footprint import EngineShape
from admission.price.offer import Quote
from admission.price.prefixes import Prefixes
from admission.queue.accounts import TenantView
from admission.queue.waiting import WaitingQueue
from admission.speed.engine_speed import EngineSpeed
from admission.speed.linear_steps import StepCoefficients
from admission.speed.step_outliers import StepOutlier
from admission.terms.decision import Decision, Limit
from admission.terms.settings import Settings


@dataclass(frozen=True, slots=True)
class Occupancy:
    """How full the engine and the queue are. `leases` counts those the engine has yet to free."""

    sequences: int
    leases: int
    held_blocks: int
    projected_peak_blocks: int
    prefill_backlog_tokens: int
    queue_requests: int
    queue_tokens: int

    @classmethod
    def of(cls, ledger: Ledger, queue: WaitingQueue) -> "Occupancy":
        """Read the ledger and the queue."""
        return cls(
            sequences=ledger.sequences,
            leases=len(ledger.leases),
            held_blocks=ledger.held_blocks,
            projected_peak_blocks=ledger.curve.peak(),
            prefill_backlog_tokens=ledger.backlog_tokens,
            queue_requests=len(queue),
            queue_tokens=queue.load.tokens,
        )


@dataclass(frozen=True, slots=True)
class Limits:
    """What may be promised, and why: `promised_ratio` of the cache, lowered by what went wrong.

    `lost_to_preemptions_ratio` is taken off after preemptions; `bias_ratio` is used blocks / held
    blocks, recently.
    """

    free_blocks: int
    promised_blocks: int
    promised_ratio: float
    lost_to_preemptions_ratio: float
    bias_ratio: float
    sequences: int

    @classmethod
    def of(cls, ledger: Ledger, headroom: Headroom, margin: KvMargin) -> "Limits":
        """Read the limits in force."""
        return cls(
            free_blocks=ledger.free_blocks,
            promised_blocks=headroom.block_limit,
            promised_ratio=margin.promised_ratio,
            lost_to_preemptions_ratio=margin.lost_ratio,
            bias_ratio=margin.bias_ratio,
            sequences=headroom.slot_limit,
        )


@dataclass(frozen=True, slots=True)
class CacheReading:
    """Prompt tokens of started requests: predicted in the prefix cache, and found there."""

    foreseen_tokens: int
    found_tokens: int
    believed_ratio: float  # found / predicted, as the next price assumes it

    @classmethod
    def of(cls, prefixes: Prefixes) -> "CacheReading":
        """Read the cache hits."""
        hits = prefixes.hits
        return cls(hits.foreseen_tokens, hits.found_tokens, hits.ratio)


@dataclass(frozen=True, slots=True)
class SpeedReading:
    """The engine's speed as it is predicted now, in modelled seconds; None = not yet known."""

    step_s: float | None
    prefill_s_per_token: float | None
    first_token_error_s: float | None
    first_token_margin_s: float
    cost_measured: bool  # tenants are charged by measured step times
    coefficients: StepCoefficients | None
    records: int
    error_ratio: float | None
    outliers: int
    last_outlier: StepOutlier | None

    @classmethod
    def of(
        cls, speed: EngineSpeed, first_tokens: FirstTokens, *, cost_measured: bool
    ) -> "SpeedReading":
        """Read what is learned from step records."""
        pace, steps, outliers = speed.pace, speed.steps, speed.outliers
        return cls(
            step_s=pace.step_s,
            prefill_s_per_token=pace.prefill_s_per_token,
            first_token_error_s=first_tokens.error_s,
            first_token_margin_s=first_tokens.margin_s,
            cost_measured=cost_measured,
            coefficients=steps.coefficients,
            records=steps.records,
            error_ratio=steps.error_ratio,
            outliers=outliers.count,
            last_outlier=outliers.last,
        )


@dataclass(frozen=True, slots=True)
class CoverageReading:
    """Shares of recent completions not longer than predicted; None before enough have ended."""

    median_ratio: float | None
    price_ratio: float | None
    price_quantile: float  # what `price_ratio` should be
    alarm: bool

    @classmethod
    def of(cls, coverage: Coverage, price_quantile: float) -> "CoverageReading":
        """Read the coverage of predictions."""
        median, price = coverage.median.ratio, coverage.price.ratio
        return cls(median, price, price_quantile, coverage.alarm(price_quantile))


@dataclass(frozen=True, slots=True)
class EngineSigns:
    """Signs of life, and whether the engine's statistics arrive."""

    down: bool
    hung: bool
    lost: bool
    silent_s: float
    steps_missing: bool  # sequences run, and no step record comes
    usage_missing: bool  # step records come without the use of the KV cache

    @property
    def stale(self) -> bool:
        """Whether the ledger is not checked against the engine."""
        return self.steps_missing or self.usage_missing

    @classmethod
    def of(cls, heartbeat: Heartbeat, freshness: Freshness, *, down: bool) -> "EngineSigns":
        """Read heartbeat and freshness."""
        return cls(
            down=down,
            hung=heartbeat.hung,
            lost=heartbeat.lost,
            silent_s=heartbeat.silent_s,
            steps_missing=freshness.silent,
            usage_missing=freshness.usage_missing,
        )


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All of it. `binding` is the limit that made the last request wait."""

    engine: EngineShape
    settings: Settings
    draining: bool
    binding: Limit | None
    occupancy: Occupancy
    limits: Limits
    cache: CacheReading
    speed: SpeedReading
    coverage: CoverageReading
    signs: EngineSigns


@dataclass(frozen=True, slots=True)
class DecisionContext:
    """What one decision met: `reserved_blocks` are kept from its class for higher ones."""

    engine: EngineShape
    settings: Settings
    occupancy: Occupancy
    account: TenantView
    reserved_blocks: int


@dataclass(frozen=True, slots=True)
class Explanation:
    """The decision on an offer that is not made, and its reasons.

    `reserve_binds` says whether only the reserve of higher classes keeps it out.
    """

    quote: Quote
    decision: Decision
    budgets: tuple[LimitReading, ...]
    context: DecisionContext
    tenant_waiting: int
    reserve_binds: bool
