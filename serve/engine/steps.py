"""vLLM's step statistics, turned into an EngineStep for the gate.

A record must never raise: that ends vLLM's output handler, and with it every stream.
"""

import logging
from collections.abc import Callable
from typing import Any

from vllm.v1.engine.output_processor import OutputProcessor
from vllm.v1.metrics.loggers import StatLoggerBase
from vllm.v1.metrics.stats import (
    FinishedRequestStats,
    IterationStats,
    MultiModalCacheStats,
    SchedulerStats,
)

from serve.sequences import EngineStep, Finished

_log = logging.getLogger("sluice.engine")

Listener = Callable[[EngineStep], None]


class StepFeed:
    """Stands between vLLM, which builds its stat loggers early, and the gate, which comes later."""

    def __init__(self) -> None:
        self.listener: Listener | None = None
        self.output_processor: OutputProcessor | None = None
        self.failures = 0
        self.on_failure: Callable[[], None] = lambda: None

    def logger(self, *_: Any, **__: Any) -> StatLoggerBase:
        """The factory vLLM is given."""
        return _StepLogger(self)

    def record(self, scheduler: SchedulerStats | None, iteration: IterationStats | None) -> None:
        """Pass one step on; a failure is logged and counted, the stream goes on."""
        if self.listener is None or self.output_processor is None:
            return
        try:
            self.listener(_step(self.output_processor, scheduler, iteration))
        except Exception:  # noqa: BLE001 - see above: anything that escapes kills vLLM
            self.failures += 1
            self.on_failure()
            _log.exception("a step record could not be counted")


class _StepLogger(StatLoggerBase):
    def __init__(self, feed: StepFeed) -> None:
        self._feed = feed

    def record(
        self,
        scheduler_stats: SchedulerStats | None,
        iteration_stats: IterationStats | None,
        mm_cache_stats: MultiModalCacheStats | None = None,  # noqa: ARG002 - vLLM's signature
        engine_idx: int = 0,  # noqa: ARG002
    ) -> None:
        self._feed.record(scheduler_stats, iteration_stats)

    def log_engine_initialized(self) -> None:
        """Nothing to say: the gateway prints its own line."""


def _step(
    outputs: OutputProcessor, scheduler: SchedulerStats | None, iteration: IterationStats | None
) -> EngineStep:
    details = scheduler.iteration_details if scheduler else None
    finished = iteration.finished_requests if iteration else []
    return EngineStep(
        running=outputs.request_states,
        finished=tuple(_finished(each) for each in finished),
        prefill_tokens=details.num_ctx_tokens if details else 0,
        cached_tokens=scheduler.prefix_cache_stats.hits if scheduler else 0,
        decode_tokens=details.num_generation_tokens if details else 0,
        elapsed_s=details.elapsed_ms / 1000 if details else 0.0,
        kv_used_ratio=scheduler.kv_cache_usage if scheduler else None,
        preempted=iteration.num_preempted_reqs if iteration else 0,
    )


def _finished(stats: FinishedRequestStats) -> Finished:
    return Finished(
        engine_id=stats.request_id or "",
        output_tokens=stats.num_generation_tokens,
        reason=str(stats.finish_reason),
        queued_s=stats.queued_time,
        prefill_s=stats.prefill_time,
        tpot_s=stats.mean_time_per_output_token,
        preemptions=stats.num_preemptions,
    )
