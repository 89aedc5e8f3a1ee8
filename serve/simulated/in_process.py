"""vLLM's engine core in this process, stepped by hand: its scheduler and cache on a virtual clock.

The core runs its own loop, `step_fn`, unmodified: asynchronous scheduling, chunked prefill, prefix
cache, preemption; steps in which it has nothing to decide are skipped (`fast_forward`). Ours are
the executor, whose steps take modelled seconds and no time, and the requests, whose prompts have
lengths and block names but no text. A request that arrives during a step is taken at its end, as by
the core. A request that is accepted because of a step's record is taken one step later, as from a
front end, which reads the record while the next step is ordered.
"""

import gc
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, NamedTuple

from vllm.sampling_params import SamplingParams
from vllm.v1.core.sched.output import GrammarOutput, SchedulerOutput
from vllm.v1.engine import EngineCoreEventType, EngineCoreOutputs
from vllm.v1.engine.core import EngineCore
from vllm.v1.outputs import EMPTY_MODEL_RUNNER_OUTPUT, ModelRunnerOutput
from vllm.v1.request import Request

from admission.speed.step import StepContents
from serve.engine_step import EngineStep, Finished
from serve.simulated.fast_forward import FastForward, fast_forward_from
from serve.simulated.no_weights import NoWeights
from serve.simulated.options import KEY, from_json, seconds_of
from serve.simulated.requests import BlockNames, EngineRequest, RequestBlocks
from serve.simulated.sequence import END, WORD, Sequence
from serve.simulated.state_sync import answered
from serve.simulated.steps import StepReader

_NOTHING = StepContents()
_EMPTY_ORDERS_MAX = 8  # in a row with nothing running; vLLM itself would never stop


class _Timed(NamedTuple):
    """An order in flight."""

    contents: StepContents
    start_s: float
    end_s: float

    @property
    def empty(self) -> bool:
        """Whether nothing is computed in it."""
        return self.contents is _NOTHING


class VirtualExecutor(NoWeights):
    """Answers at once; keeps when each ordered step begins and ends."""

    def _init_executor(self) -> None:
        options = from_json(self.vllm_config.additional_config[KEY])
        self.seconds: Callable[[StepContents], float] = seconds_of(options.step_time)
        self.start_over()

    def start_over(self) -> None:
        """Resets orders and clock."""
        self.sequences: dict[str, Sequence] = {}  # ended ones too, until the scheduler drops them
        self.now_s = 0.0
        self.steps: deque[_Timed] = deque()  # ordered and not yet over
        self._free_at_s = 0.0
        self._reader = StepReader(self._produced)
        self._output: ModelRunnerOutput | None = None
        self.on_its_way: StepContents | None = None  # the order that the next one follows

    def _produced(self, key: str) -> int:
        return self.sequences[key].ordered_tokens

    def execute_model(self, scheduler_output: SchedulerOutput, non_block: bool = False) -> Any:
        """Reads the order and begins its step."""
        order = scheduler_output
        self._reader.end(order)
        for key in order.finished_req_ids:
            self.sequences.pop(key, None)
        if not order.total_num_scheduled_tokens:
            self.on_its_way = None
            self.steps.append(_Timed(_NOTHING, self.now_s, self.now_s))
            return _done(EMPTY_MODEL_RUNNER_OUTPUT, non_block)
        self._reader.begin(order)
        reading = self._reader.read(order)
        self.begin(reading.contents)
        for new in order.scheduled_new_reqs:
            sequence = self.sequences[new.req_id]
            if sequence.begun_at_s < 0:
                sequence.begun_at_s = self.now_s
        said = {key: [self.sequences[key].next_token()] for key in reading.sampled}
        self._output = answered(order.num_scheduled_tokens, said)
        return _done(None, non_block)

    def begin(self, contents: StepContents) -> None:
        """A step of that begins when the one before it is over."""
        self.on_its_way = contents
        start_s = max(self.now_s, self._free_at_s)
        self._free_at_s = start_s + self.seconds(contents)
        self.steps.append(_Timed(contents, start_s, self._free_at_s))

    def sample_tokens(self, grammar_output: GrammarOutput | None, non_block: bool = False) -> Any:  # noqa: ARG002 - vLLM's signature; the lab uses no grammars
        """The tokens of the step that was begun last."""
        output, self._output = self._output, None
        return _done(output, non_block)


def _done(answer: ModelRunnerOutput | None, non_block: bool) -> Any:
    if not non_block:
        return answer
    future: Future[ModelRunnerOutput | None] = Future()
    future.set_result(answer)
    return future


class StuckError(RuntimeError):
    """The engine has requests that it will never run."""


class VirtualEngine:
    """One engine. `ends_at_s` is when the step that runs is over; None while nothing runs.

    `config` is a VllmConfig with the simulation's options (`serve.simulated.planned`); it is
    changed. `usable_blocks` replaces the planned KV cache. Without `fast_forward` every step calls
    vLLM's scheduler, even if it has nothing to decide. `after` is a closed engine of the same
    config and size, whose core this one takes over.
    """

    def __init__(
        self,
        config: Any,
        *,
        usable_blocks: int | None = None,
        fast_forward: bool = True,
        after: "VirtualEngine | None" = None,
    ) -> None:
        if usable_blocks is not None:
            config.cache_config.num_gpu_blocks_override = usable_blocks + 1  # one is vLLM's own
        self._core = after.core_anew() if after and after.closed else _core_of(config)
        self.closed: bool = False
        self._executor: VirtualExecutor = self._core.model_executor
        cache = config.cache_config
        self._usable_blocks = cache.num_gpu_blocks - 1
        self._names = BlockNames(cache.block_size) if cache.enable_prefix_caching else None
        self._block_tokens: int = cache.block_size
        self._sampling: dict[int, SamplingParams] = {}  # by max_tokens; requests only read it
        self._inbox: list[Request] = []
        self._added = 0
        self._over: _Timed | None = None  # the step that runs
        self._told: EngineCoreOutputs | None = None  # what the core says of it; None if skipped
        self._skips = fast_forward
        self._skipping: FastForward | None = None
        self.running: dict[str, Sequence] = {}  # as a front end knows them
        self.begun: list[str] = []  # engine ids: first tokens of the step that was finished last

    @property
    def ends_at_s(self) -> float | None:
        """When the step that runs is over; None while the engine is idle."""
        return None if self._over is None else self._over.end_s

    @property
    def kv_groups(self) -> list[dict[str, Any]]:
        """Its KV-cache groups as vLLM tells them (`serve.engine.shape`)."""
        groups: list[dict[str, Any]] = self._core.get_kv_cache_group_metadata()
        return groups

    def add(self, request: EngineRequest, now_s: float) -> None:
        """Hand a request over; an idle engine begins with it at once."""
        self._added += 1
        key = f"{request.engine_id}-{self._added}"
        sequence = Sequence(request, now_s)
        self.running[key] = self._executor.sequences[key] = sequence
        self._inbox.append(
            Request(
                request_id=key,
                prompt_token_ids=[WORD] * request.prompt_tokens,
                sampling_params=self._sampling_of(request.max_tokens),
                pooling_params=None,
                arrival_time=now_s,
                block_hasher=self._hasher(request),
            )
        )
        if self._over is None:
            self._go_on(now_s)

    def _sampling_of(self, max_tokens: int) -> SamplingParams:
        if max_tokens not in self._sampling:
            self._sampling[max_tokens] = SamplingParams(
                max_tokens=max_tokens, temperature=0.0, detokenize=False, stop_token_ids=[END]
            )
        return self._sampling[max_tokens]

    def _hasher(self, request: EngineRequest) -> Callable[[Request], list[bytes]] | None:
        if self._names is None:
            return None
        return _Hasher(self._names.of(request), self._block_tokens)

    def finish_step(self) -> EngineStep:
        """Ends the running step, starts the next, and returns the record of the first."""
        if self._over is None:
            raise RuntimeError("no step runs")
        timed, told, skipping = self._over, self._told, self._skipping
        self._over = self._told = None
        step = self._read_skipped(timed, skipping) if skipping else self._read(timed, told)
        self._go_on(timed.end_s)
        return step

    def _go_on(self, now_s: float) -> None:
        """Runs the core until a step has computed something."""
        self._executor.now_s = now_s
        if not self._skipped():
            self._let_core_go_on()

    def _skipped(self) -> bool:
        """Whether the step in flight could be ended without the scheduler."""
        executor = self._executor
        if self._skips and not self._skipping and not self._inbox and len(executor.steps) == 1:
            scheduler, ordered = self._core.scheduler, executor.on_its_way
            self._skipping = fast_forward_from(scheduler, executor.sequences, ordered)
        if self._skipping is None:
            return False
        contents = None if self._inbox else self._skipping.order()
        if contents is None:
            self._sync(self._skipping)
            self._skipping = None
            return False
        executor.begin(contents)
        self._over = executor.steps.popleft()
        return True

    def _sync(self, skipping: FastForward) -> None:
        """The core's queue holds the order of the beginning; it gets the last one in its place."""
        ordered = skipping.sync()
        if ordered is not None:
            ((_, order, _),) = self._core.batch_queue
            output = answered(ordered.tokens, ordered.said)
            self._core.batch_queue[0] = (
                _done(output, non_block=True),
                ordered.scheduled(like=order),
                _done(None, non_block=True),
            )

    def _let_core_go_on(self) -> None:
        core, executor = self._core, self._executor
        for _ in range(_EMPTY_ORDERS_MAX):
            for request in self._inbox:
                core.add_request(request)
            self._inbox.clear()
            if not (executor.steps or core.scheduler.has_requests()):
                return
            outputs, _ = core.step_fn()
            if outputs is None:  # it goes on ordering
                continue
            timed = executor.steps.popleft()
            if not timed.empty:
                self._over, self._told = timed, outputs[0]
                return
        if core.scheduler.has_unfinished_requests():
            waiting, blocks = len(self.running), self._usable_blocks
            raise StuckError(f"{waiting} requests wait and none of them fits into {blocks} blocks")

    # -- what a front end makes of it ------------------------------------------------------

    def _read(self, timed: _Timed, told: EngineCoreOutputs) -> EngineStep:
        """The record that `serve.engine.steps` makes of vLLM's statistics, in virtual seconds."""
        now_s, latest_s, preempted = timed.end_s, -1.0, 0
        finished: list[Finished] = []
        self.begun = []
        for output in told.outputs:
            key = output.request_id
            sequence = self.running[key]
            if output.events:
                preemptions = sum(e.type is EngineCoreEventType.PREEMPTED for e in output.events)
                sequence.num_preemptions += preemptions
                preempted += preemptions
            sequence.num_generation_tokens += len(output.new_token_ids)
            latest_s = max(latest_s, sequence.last_at_s)
            sequence.last_at_s = now_s
            if sequence.first_at_s < 0:
                sequence.first_at_s = now_s
                self.begun.append(sequence.external_req_id)
            if output.finish_reason is not None:
                del self.running[key]
                finished.append(sequence.finished(str(output.finish_reason)))
        stats = told.scheduler_stats
        details = stats.iteration_details
        return EngineStep(
            running=self.running,
            finished=tuple(finished),
            prefill_tokens=details.num_ctx_tokens,
            cached_tokens=stats.prefix_cache_stats.hits,
            decode_tokens=details.num_generation_tokens,
            elapsed_s=now_s - (latest_s if latest_s >= 0 else timed.start_s),
            kv_used_ratio=stats.kv_cache_usage,
            preempted=preempted,
        )

    def _read_skipped(self, timed: _Timed, skipping: FastForward) -> EngineStep:
        """As `_read`, for a step that the core did not run."""
        now_s, latest_s = timed.end_s, -1.0
        self.begun = []
        for sequence in skipping.sampled.values():
            latest_s = max(latest_s, sequence.last_at_s)
            sequence.num_generation_tokens += 1
            sequence.last_at_s = now_s
            if sequence.first_at_s < 0:
                sequence.first_at_s = now_s
                self.begun.append(sequence.external_req_id)
        for ended in skipping.ended:
            del self.running[ended.request.request_id]
        return EngineStep(
            running=self.running,
            finished=tuple(
                each.simulated.finished(each.simulated.reason) for each in skipping.ended
            ),
            prefill_tokens=timed.contents.prefill_tokens,
            decode_tokens=timed.contents.decode_sequences,
            elapsed_s=now_s - (latest_s if latest_s >= 0 else timed.start_s),
            kv_used_ratio=skipping.kv_used_ratio,
        )

    def close(self) -> None:
        """Let it go.

        There is no worker, device memory or process group that vLLM's own shutdown would look for,
        and its searches of the whole heap take longer than a short run.
        """
        self._core.scheduler.shutdown()
        self.closed = True

    def core_anew(self) -> EngineCore:
        """The core as it was made: what a run leaves behind is in scheduler, queue and executor.

        To make one takes half a second, most of it for vLLM's own look through the whole heap.
        """
        core, old = self._core, self._core.scheduler
        core.scheduler = type(old)(
            vllm_config=core.vllm_config,
            kv_cache_config=old.kv_cache_config,
            structured_output_manager=core.structured_output_manager,
            log_stats=core.log_stats,
            block_size=old.block_size,
            hash_block_size=old.hash_block_size,
        )
        core.batch_queue.clear()
        core.model_executor.start_over()
        return core


def _core_of(config: Any) -> EngineCore:
    core = EngineCore(config, VirtualExecutor, log_stats=True)
    gc.unfreeze()  # vLLM froze the heap: the core and all that is imported would never be let go
    return core


class _Hasher:
    """vLLM asks it for the names of the blocks that a request has filled since the last time."""

    __slots__ = ("_block_tokens", "_blocks")

    def __init__(self, blocks: RequestBlocks, block_tokens: int) -> None:
        self._blocks = blocks
        self._block_tokens = block_tokens

    def __call__(self, request: Request) -> list[bytes]:
        known = len(request.block_hashes)
        if (known + 1) * self._block_tokens > request.num_tokens:
            return []
        full = request.num_tokens // self._block_tokens
        return [self._blocks.name(block) for block in range(known, full)]
