"""What an operator watches: our Prometheus metrics, and the outputs that a profile turns on."""

import math
from dataclasses import dataclass
from functools import partial

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

from admission.terms.decision import Limit, Outcome, Reason
from admission.terms.shadow import Seen
from serve.observability.fault_counts import show_fault_counts
from serve.observability.json_lines import JsonLines
from serve.observability.tracing import Tracing, start_tracing
from serve.profile.sections import TelemetrySection

# From "at once" to the longest deadline a profile can set by default (120 s).
_WAIT_BUCKETS_S = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 30, 60, 120)
_LENGTH_BUCKETS_TOKENS = (8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768)
# Above 1 the answer outgrew its price; the quantile that was asked for is the share below 1.
_RATIO_BUCKETS = (0.1, 0.25, 0.5, 0.75, 0.9, 1.0, 1.1, 1.25, 1.5, 2, 4, 8)


class Metrics:
    """The `sluice_` metrics. One per registry: Prometheus refuses a second of the same name."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self.registry = registry  # the default one holds vLLM's own metrics, names unchanged

        def counter(name: str, what: str, *labels: str) -> Counter:
            return Counter(name, what, labels, registry=registry)

        def gauge(name: str, what: str, *labels: str) -> Gauge:
            return Gauge(name, what, labels, registry=registry)

        def histogram(name: str, what: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(name, what, buckets=buckets, registry=registry)

        self._decisions = counter(
            "sluice_admission_decisions",
            "Decisions; a request that waits counts as queued, and again when it leaves the queue",
            "outcome",
            "reason",
        )
        self._capacity = gauge("sluice_kv_capacity_tokens", "Tokens that the KV cache holds")
        self._held = gauge(
            "sluice_kv_held_tokens", "KV tokens that running requests hold now, in whole blocks"
        )
        self._peak = gauge(
            "sluice_kv_projected_peak_tokens",
            "Most KV tokens that the running requests are expected to hold at one time",
        )
        self._queue = gauge("sluice_queue_size", "Requests in the queue")
        self._leases = gauge("sluice_leases", "Requests accepted and not yet finished")
        self._waits = histogram(
            "sluice_queue_wait_seconds",
            "Time in the queue, of requests that have left it",
            _WAIT_BUCKETS_S,
        )
        self._binding = gauge(
            "sluice_binding_limit",
            "1 for the limit that made the last request wait, else 0",
            "limit",
        )
        self._predicted = histogram(
            "sluice_output_predicted_tokens",
            "Output tokens that a request was priced at, per finished request",
            _LENGTH_BUCKETS_TOKENS,
        )
        self._real = histogram(
            "sluice_output_real_tokens",
            "Output tokens produced, per finished request",
            _LENGTH_BUCKETS_TOKENS,
        )
        self._ratio = histogram(
            "sluice_output_real_to_predicted_ratio",
            "Output tokens produced / priced; above 1 the request outgrew its price",
            _RATIO_BUCKETS,
        )
        self._preemptions = counter(
            "sluice_engine_preemptions", "Preemptions in the engine; the aim is none"
        )
        self._cached = counter(
            "sluice_prefix_cached_tokens",
            "Prompt tokens of started requests: predicted in the prefix cache, and found there",
            "what",
        )
        self._cached_so_far = {"foreseen": 0, "found": 0}
        self._unleased = counter(
            "sluice_unleased_engine_calls",
            "Calls to the engine refused because admission had not accepted them",
        )
        self._config = counter(
            "sluice_config_refused",
            "Changes of admission settings refused; the settings in force stay",
        )
        self._records = counter(
            "sluice_step_record_failures",
            "Step records of the engine that could not be read; the ledger misses them",
        )
        self._plan_error = gauge(
            "sluice_plan_kv_error_ratio", "Planned / actual KV blocks - 1; NaN without a plan"
        )
        self._step_error = gauge(
            "sluice_step_time_error_ratio",
            "Typical relative error of recent step-time predictions; NaN before the first",
        )
        self._step_outliers = counter(
            "sluice_step_time_outliers",
            "Engine steps that took ten times as long as predicted and more than 1 s",
        )
        self._late_steps = gauge(
            "sluice_simulation_late_steps_ratio",
            "Share of a simulated engine's steps that ended late; above 0.05 the run is invalid",
        )
        self._first_token_error = gauge(
            "sluice_first_token_error_seconds",
            "Mean absolute error of the last 100 TTFT predictions; NaN before ten",
        )
        self._promised = gauge(
            "sluice_kv_promised_ratio",
            "Share of the KV blocks that may be promised now; preemptions lower it for a while",
        )
        self._bias = gauge(
            "sluice_kv_bias_ratio",
            "KV blocks that the engine uses / blocks in the ledger, recently",
        )
        self._covered = gauge(
            "sluice_output_coverage_ratio",
            "Share of the last 400 completions not longer than predicted; NaN before 100",
            "predicted",
        )
        self._stale = gauge(
            "sluice_engine_stale", "1 while the engine's step records or its KV usage are missing"
        )
        self._silent = gauge(
            "sluice_engine_silent_seconds", "Seconds since the engine's last sign of life"
        )
        self._hangs = counter(
            "sluice_engine_hangs",
            "Times that the engine was silent for longer than engine.hang_after_s",
        )
        self._overdue = counter(
            "sluice_overdue_requests",
            "Accepted requests aborted because no token came by the deadline and its grace",
        )
        self._dropped = counter(
            "sluice_log_lines_dropped", "Log lines lost because the disk is full or too slow", "log"
        )
        self._shadow = counter(
            "sluice_shadow_requests",
            "Finished requests in mode shadow, by what admission would have decided",
            "would",
        )
        self._shadow_refusals = counter(
            "sluice_shadow_would_refuse",
            "Finished requests in mode shadow that admission would have refused",
            "reason",
        )
        self._shadow_false = counter(
            "sluice_shadow_false_refusals",
            "Requests that mode shadow would have refused and that met their SLO",
        )
        self._shadow_missed = counter(
            "sluice_shadow_missed_refusals",
            "Requests that mode shadow would have accepted and that missed their SLO",
        )
        self._start_at_zero()

    def decision(self, outcome: Outcome, reason: Reason | None = None) -> None:
        """Counts one answer of admission."""
        self._decisions.labels(outcome, reason or "").inc()

    def waited(self, seconds: float) -> None:
        """Notes how long a request waited in the queue, however it left it."""
        self._waits.observe(seconds)

    def levels(
        self,
        *,
        capacity_tokens: int,
        held_tokens: int,
        projected_peak_tokens: int,
        queue_size: int,
        leases: int,
        first_token_error_s: float | None,
    ) -> None:
        """Sets the gauges from one snapshot of the ledger and the queue."""
        self._capacity.set(capacity_tokens)
        if first_token_error_s is not None:
            self._first_token_error.set(first_token_error_s)
        self._held.set(held_tokens)
        self._peak.set(projected_peak_tokens)
        self._queue.set(queue_size)
        self._leases.set(leases)

    def binding(self, limit: Limit | None) -> None:
        """Notes what bound the last decision that had to wait; None when nothing binds."""
        for each in Limit:
            self._binding.labels(each).set(1 if each is limit else 0)

    def output_length(self, *, predicted_tokens: int, real_tokens: int) -> None:
        """Notes priced against produced length of a request that ran to its own end."""
        self._predicted.observe(predicted_tokens)
        self._real.observe(real_tokens)
        self._ratio.observe(real_tokens / max(predicted_tokens, 1))

    def cached(self, *, foreseen_tokens: int, found_tokens: int) -> None:
        """Counts up to these sums over all requests that the engine started."""
        for what, tokens in (("foreseen", foreseen_tokens), ("found", found_tokens)):
            self._cached.labels(what).inc(tokens - self._cached_so_far[what])
            self._cached_so_far[what] = tokens

    def preempted(self, times: int = 1) -> None:
        """Counts preemptions that the engine reports."""
        self._preemptions.inc(times)

    def unleased_call(self) -> None:
        """Counts an engine call that came without a lease and was refused."""
        self._unleased.inc()

    def config_refused(self) -> None:
        """Counts a new configuration that was not taken."""
        self._config.inc()

    def step_record_failed(self) -> None:
        """Counts a step of the engine that the ledger could not follow."""
        self._records.inc()

    def engine_silent(self, seconds: float) -> None:
        """Notes how long ago the engine gave a sign of life."""
        self._silent.set(seconds)

    def engine_hung(self) -> None:
        """Counts an engine that stopped giving signs of life."""
        self._hangs.inc()

    def overdue(self) -> None:
        """Counts an accepted request that was cut off without a first token."""
        self._overdue.inc()

    def log_lines_dropped(self, log: str, lines: int) -> None:
        """Counts lost lines of the access or the decision log; from any thread."""
        self._dropped.labels(log).inc(lines)

    def plan_error(self, ratio: float) -> None:
        """Notes planned / real KV blocks - 1."""
        self._plan_error.set(ratio)

    def beliefs(
        self,
        *,
        step_error_ratio: float | None,
        promised_ratio: float,
        bias_ratio: float,
        covered_median_ratio: float | None,
        covered_price_ratio: float | None,
        stale: bool,
    ) -> None:
        """Sets what admission has learned of the engine and of the answers; None = not known."""
        self._step_error.set(math.nan if step_error_ratio is None else step_error_ratio)
        self._promised.set(promised_ratio)
        self._bias.set(bias_ratio)
        covered = (("median", covered_median_ratio), ("price", covered_price_ratio))
        for predicted, ratio in covered:
            self._covered.labels(predicted).set(math.nan if ratio is None else ratio)
        self._stale.set(stale)

    def step_outliers(self, steps: int) -> None:
        """Counts steps that took far longer than expected."""
        self._step_outliers.inc(steps)

    def late_steps(self, ratio: float) -> None:
        """Notes the share of a simulated engine's steps that ended late."""
        self._late_steps.set(ratio)

    def shadow(self, seen: Seen) -> None:
        """Counts a request that mode shadow let pass, after its end."""
        self._shadow.labels(seen.would).inc()
        if seen.would is Outcome.REJECTED:
            self._shadow_refusals.labels(seen.reason).inc()
        self._shadow_false.inc(seen.false_refusal)
        self._shadow_missed.inc(seen.missed_refusal)

    def _start_at_zero(self) -> None:
        """A series that appears with its first event has no rate for it."""
        for unknown in (self._plan_error, self._step_error, self._first_token_error):
            unknown.set(math.nan)
        for predicted in ("median", "price"):
            self._covered.labels(predicted).set(math.nan)
        for what in self._cached_so_far:
            self._cached.labels(what)
        for log in ("access", "decision"):
            self._dropped.labels(log)
        for outcome in (Outcome.ACCEPTED, Outcome.QUEUED, Outcome.ABANDONED):
            self._decisions.labels(outcome, "")
        for would in (Outcome.ACCEPTED, Outcome.QUEUED, Outcome.REJECTED):
            self._shadow.labels(would)
        for reason in Reason:
            self._decisions.labels(Outcome.REJECTED, reason)
            self._shadow_refusals.labels(reason)
        self.binding(None)


@dataclass(frozen=True, slots=True)
class Telemetry:
    """Everything that tells what the gateway does, none of it the text of a request."""

    metrics: Metrics
    tracing: Tracing
    access_log: JsonLines | None = None
    decision_log: JsonLines | None = None

    def reopen(self) -> None:
        """Continues both logs in the files that have their names now: after a rotation."""
        for log in self._logs():
            log.reopen()

    def log_lines_dropped(self) -> dict[str, int]:
        """Lines lost since the start, by log."""
        logs = {"access": self.access_log, "decision": self.decision_log}
        return {name: log.dropped for name, log in logs.items() if log is not None}

    def close(self) -> None:
        """Writes and sends what is still buffered."""
        self.tracing.close()
        for log in self._logs():
            log.close()

    def _logs(self) -> list[JsonLines]:
        return [log for log in (self.access_log, self.decision_log) if log is not None]


def start_telemetry(section: TelemetrySection) -> Telemetry:
    """Metrics always; traces and logs as the profile says. Once per process.

    Raises OSError when a log cannot be opened.
    """
    metrics = Metrics()
    show_fault_counts(metrics.registry)

    def log(name: str, destination: str | None) -> JsonLines | None:
        if destination is None:
            return None
        return JsonLines(
            destination,
            max_bytes=section.log_max_bytes,
            kept=section.log_kept,
            on_lost=partial(metrics.log_lines_dropped, name),
        )

    return Telemetry(
        metrics,
        start_tracing(section.otlp_endpoint),
        access_log=log("access", section.access_log),
        decision_log=log("decision", section.decision_log),
    )
