"""Every `sluice_` metric, declared once: name, type, help, and where its value comes from.

A `Reading` is a gauge or counter that is read from one snapshot with each scrape. An `Event` is
counted or observed when it happens. docs/reference/metrics.md is generated from both.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from admission.snapshot import Snapshot
from admission.terms.decision import Limit, Outcome, Reason

Values = Mapping[str, float | None]  # by value of the one label; "" without a label


@dataclass(frozen=True, slots=True)
class Sources:
    """What is read with a scrape; None = not known."""

    admission: Snapshot
    plan_kv_error_ratio: float | None = None
    late_steps_ratio: float = 0.0


@dataclass(frozen=True, slots=True)
class Reading:
    """A metric that is read with each scrape; None is exported as NaN."""

    name: str
    kind: Literal["gauge", "counter"]
    help: str
    read: Callable[[Sources], float | Values | None]
    label: str | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """Label names."""
        return () if self.label is None else (self.label,)

    def values(self, sources: Sources) -> dict[str, float]:
        """By value of the label; "" without one."""
        found = self.read(sources)
        values = found if isinstance(found, Mapping) else {"": found}
        return {key: math.nan if value is None else value for key, value in values.items()}


@dataclass(frozen=True, slots=True)
class Event:
    """A metric that counts or observes. Each of the series in `start` is exported from 0 on."""

    name: str
    kind: Literal["counter", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    start: tuple[tuple[str, ...], ...] = ()
    buckets: tuple[float, ...] = ()


def _counter(name: str, text: str, *labels: str, start: tuple[tuple[str, ...], ...] = ()) -> Event:
    return Event(name, "counter", text, labels, start)


def _histogram(name: str, text: str, buckets: tuple[float, ...]) -> Event:
    return Event(name, "histogram", text, buckets=buckets)


def _gauge(name: str, text: str, read: Callable[[Snapshot], float | None]) -> Reading:
    return Reading(name, "gauge", text, lambda sources: read(sources.admission))


# From "at once" to the longest deadline a profile can set by default (120 s).
_WAIT_BUCKETS_S = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 30, 60, 120)
_LENGTH_BUCKETS_TOKENS = (8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768)
# Above 1 the completion outgrew its price; the quantile of the profile is the share below 1.
_RATIO_BUCKETS = (0.1, 0.25, 0.5, 0.75, 0.9, 1.0, 1.1, 1.25, 1.5, 2, 4, 8)
_REASONS = tuple((str(reason),) for reason in Reason)

# -- events ------------------------------------------------------------------------------------

DECISIONS = _counter(
    "sluice_admission_decisions",
    "Decisions; a request that waits counts as queued, and again when it leaves the queue",
    "outcome",
    "reason",
    start=(
        *((str(each), "") for each in (Outcome.ACCEPTED, Outcome.QUEUED, Outcome.ABANDONED)),
        *((str(Outcome.REJECTED), *reason) for reason in _REASONS),
    ),
)
QUEUE_WAIT = _histogram(
    "sluice_queue_wait_seconds", "Time that requests spent in the queue", _WAIT_BUCKETS_S
)
OUTPUT_PREDICTED = _histogram(
    "sluice_output_predicted_tokens",
    "Output tokens that a finished sequence was priced at",
    _LENGTH_BUCKETS_TOKENS,
)
OUTPUT_REAL = _histogram(
    "sluice_output_real_tokens",
    "Output tokens that a finished sequence produced",
    _LENGTH_BUCKETS_TOKENS,
)
OUTPUT_RATIO = _histogram(
    "sluice_output_real_to_predicted_ratio",
    "Output tokens produced / priced; above 1 the sequence outgrew its price",
    _RATIO_BUCKETS,
)
PREEMPTIONS = _counter("sluice_engine_preemptions", "Preemptions in the engine; the aim is none")
UNLEASED_CALLS = _counter(
    "sluice_unleased_engine_calls",
    "Calls to the engine refused because admission had not accepted them",
)
CONFIG_REFUSED = _counter(
    "sluice_config_refused",
    "Changes of admission settings refused; the settings in force stay",
)
STEP_RECORD_FAILURES = _counter(
    "sluice_step_record_failures",
    "Step records of the engine that could not be read; the ledger misses them",
)
ENGINE_HANGS = _counter(
    "sluice_engine_hangs",
    "Times that the engine was silent for longer than engine.hang_after_s",
)
OVERDUE = _counter(
    "sluice_overdue_requests",
    "Accepted requests aborted because no token came by the deadline and its grace",
)
LOG_LINES_DROPPED = _counter(
    "sluice_log_lines_dropped",
    "Log lines lost because the disk is full or too slow",
    "log",
    start=(("access",), ("decision",)),
)
SHADOW_REQUESTS = _counter(
    "sluice_shadow_requests",
    "Finished requests in mode shadow, by what admission would have decided",
    "would",
    start=((str(Outcome.ACCEPTED),), (str(Outcome.QUEUED),), (str(Outcome.REJECTED),)),
)
SHADOW_WOULD_REFUSE = _counter(
    "sluice_shadow_would_refuse",
    "Finished requests in mode shadow that admission would have refused",
    "reason",
    start=_REASONS,
)
SHADOW_FALSE_REFUSALS = _counter(
    "sluice_shadow_false_refusals",
    "Requests that mode shadow would have refused and that met their SLO",
)
SHADOW_MISSED_REFUSALS = _counter(
    "sluice_shadow_missed_refusals",
    "Requests that mode shadow would have accepted and that missed their SLO",
)

EVENTS = (
    DECISIONS,
    QUEUE_WAIT,
    OUTPUT_PREDICTED,
    OUTPUT_REAL,
    OUTPUT_RATIO,
    PREEMPTIONS,
    UNLEASED_CALLS,
    CONFIG_REFUSED,
    STEP_RECORD_FAILURES,
    ENGINE_HANGS,
    OVERDUE,
    LOG_LINES_DROPPED,
    SHADOW_REQUESTS,
    SHADOW_WOULD_REFUSE,
    SHADOW_FALSE_REFUSALS,
    SHADOW_MISSED_REFUSALS,
)

# -- readings ----------------------------------------------------------------------------------


def _cached(sources: Sources) -> Values:
    cache = sources.admission.cache
    return {"foreseen": cache.foreseen_tokens, "found": cache.found_tokens}


def _covered(sources: Sources) -> Values:
    coverage = sources.admission.coverage
    return {"median": coverage.median_ratio, "price": coverage.price_ratio}


READINGS = (
    _gauge(
        "sluice_kv_capacity_tokens",
        "Tokens that the KV cache holds",
        lambda seen: seen.engine.capacity_tokens,
    ),
    _gauge(
        "sluice_kv_held_tokens",
        "KV tokens that running requests hold now, in whole blocks",
        lambda seen: seen.occupancy.held_blocks * seen.engine.block_tokens,
    ),
    _gauge(
        "sluice_kv_projected_peak_tokens",
        "Most KV tokens that the running requests are expected to hold at one time",
        lambda seen: seen.occupancy.projected_peak_blocks * seen.engine.block_tokens,
    ),
    _gauge(
        "sluice_queue_size", "Requests in the queue", lambda seen: seen.occupancy.queue_requests
    ),
    _gauge(
        "sluice_leases",
        "Requests accepted and not yet finished",
        lambda seen: seen.occupancy.leases,
    ),
    Reading(
        "sluice_binding_limit",
        "gauge",
        "1 for the limit that made the last request wait, else 0",
        lambda sources: {limit: limit is sources.admission.binding for limit in Limit},
        label="limit",
    ),
    Reading(
        "sluice_prefix_cached_tokens",
        "counter",
        "Prompt tokens of started requests: predicted in the prefix cache, and found there",
        _cached,
        label="what",
    ),
    Reading(
        "sluice_plan_kv_error_ratio",
        "gauge",
        "Planned / actual KV blocks - 1; NaN without a plan",
        lambda sources: sources.plan_kv_error_ratio,
    ),
    _gauge(
        "sluice_step_time_error_ratio",
        "Typical relative error of recent step-time predictions; NaN before the first",
        lambda seen: seen.speed.error_ratio,
    ),
    Reading(
        "sluice_step_time_outliers",
        "counter",
        "Engine steps that took ten times as long as predicted and more than 1 s",
        lambda sources: sources.admission.speed.outliers,
    ),
    Reading(
        "sluice_simulation_late_steps_ratio",
        "gauge",
        "Share of a simulated engine's steps that ended late; above 0.05 the run is invalid",
        lambda sources: sources.late_steps_ratio,
    ),
    _gauge(
        "sluice_first_token_error_seconds",
        "Mean absolute error of the last 100 TTFT predictions; NaN before ten",
        lambda seen: seen.speed.first_token_error_s,
    ),
    _gauge(
        "sluice_kv_promised_ratio",
        "Share of the KV blocks that may be promised now; preemptions lower it for a while",
        lambda seen: seen.limits.promised_ratio,
    ),
    _gauge(
        "sluice_kv_bias_ratio",
        "KV blocks that the engine uses / blocks in the ledger, recently",
        lambda seen: seen.limits.bias_ratio,
    ),
    Reading(
        "sluice_output_coverage_ratio",
        "gauge",
        "Share of the last 400 completions not longer than predicted; NaN before 100",
        _covered,
        label="predicted",
    ),
    _gauge(
        "sluice_engine_stale",
        "1 while the engine's step records or its KV usage are missing",
        lambda seen: seen.signs.stale,
    ),
    _gauge(
        "sluice_engine_silent_seconds",
        "Seconds since the engine's last sign of life",
        lambda seen: seen.signs.silent_s,
    ),
)
