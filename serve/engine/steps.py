"""Turns vLLM's step statistics into an EngineStep for the gate.

A record must never raise: that ends vLLM's output handler, and with it every stream.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from vllm.v1.engine.output_processor import OutputProcessor
from vllm.v1.metrics.loggers import StatLoggerBase
from vllm.v1.metrics.stats import (
    FinishedRequestStats,
    IterationStats,
    MultiModalCacheStats,
    SchedulerIterationDetails,
    SchedulerStats,
)

from serve.engine_step import EngineStep, Finished

_log = logging.getLogger("sluice.engine")

Listener = Callable[[EngineStep], None]


class StepFeed:
    """Connects vLLM, which builds its stat loggers early, with the gate, which is made later.

    Its output is in modelled seconds, of which `time_scale` pass in a real one.
    """

    def __init__(self, time_scale: float = 1.0) -> None:
        self._time_scale = time_scale
        self._newest_token_s = self._age_s = 0.0
        self.listener: Listener | None = None
        self.on_failure: Callable[[], None] = lambda: None
        self.output_processor: OutputProcessor | None = None

    def logger(self, *_: Any, **__: Any) -> StatLoggerBase:
        """The stat logger factory for vLLM."""
        return _StepLogger(self)

    def record(self, scheduler: SchedulerStats | None, iteration: IterationStats | None) -> None:
        """Pass one step on; a failure is logged and counted, the stream goes on."""
        if self.listener is None or self.output_processor is None:
            return
        try:
            running = self.output_processor.request_states
            step = _step(running, scheduler, iteration, self._time_scale)
            self.listener(replace(step, age_s=self._age_of_newest(running) * self._time_scale))
        except Exception:  # noqa: BLE001 - see above: anything that escapes kills vLLM
            self.on_failure()
            _log.exception("a step record could not be counted")

    def _age_of_newest(self, running: Mapping[str, Any]) -> float:
        """Real seconds since the engine core made this record, by its newest token.

        Both processes read the same monotonic clock. A record without a new token (prompts alone)
        is taken to be as old as the one before was.
        """
        made = (state.stats.last_token_ts for state in running.values() if state.stats is not None)
        newest_s = max(made, default=0.0)
        if newest_s > self._newest_token_s:
            self._newest_token_s = newest_s
            self._age_s = max(0.0, time.monotonic() - newest_s)
        return self._age_s


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
        """Does nothing: the gateway prints its own line."""


def _step(
    running: Mapping[str, Any],
    scheduler: SchedulerStats | None,
    iteration: IterationStats | None,
    time_scale: float,
) -> EngineStep:
    details = scheduler.iteration_details if scheduler else None
    finished = iteration.finished_requests if iteration else []
    return EngineStep(
        running=running,
        finished=tuple(_finished(each, time_scale) for each in finished),
        prefill_tokens=details.num_ctx_tokens if details else 0,
        cached_tokens=scheduler.prefix_cache_stats.hits if scheduler else 0,
        decode_tokens=details.num_generation_tokens if details else 0,
        elapsed_s=_elapsed_s(details, iteration) * time_scale,
        kv_used_ratio=scheduler.kv_cache_usage if scheduler else None,
        preempted=iteration.num_preempted_reqs if iteration else 0,
    )


def _elapsed_s(
    details: SchedulerIterationDetails | None, iteration: IterationStats | None
) -> float:
    """Seconds from the step before to this one, by the engine core's clock.

    That is the time between the tokens of a sequence that decoded in both; without one, the time
    that the core waited for the step: less than its duration if the next step is ordered meanwhile.
    """
    if details is None:
        return 0.0
    between = iteration.inter_token_latencies_iter if iteration else ()
    return float(min(between, default=details.elapsed_ms / 1000))


def _finished(stats: FinishedRequestStats, time_scale: float) -> Finished:
    return Finished(
        engine_id=stats.request_id or "",
        output_tokens=stats.num_generation_tokens,
        reason=str(stats.finish_reason),
        queued_s=stats.queued_time * time_scale,
        prefill_s=stats.prefill_time * time_scale,
        tpot_s=stats.mean_time_per_output_token * time_scale,
        preemptions=stats.num_preemptions,
    )
