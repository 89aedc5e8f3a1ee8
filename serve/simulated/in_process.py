"""vLLM's engine core in this process, stepped by hand: its scheduler and cache on a virtual clock.

The core runs its own loop, `step_fn`, unmodified: asynchronous scheduling, chunked prefill, prefix
cache, preemption. Ours are the executor, whose steps take modelled seconds and no time, and the
requests, whose prompts have lengths and block names but no text. Requests that come while a step
runs are heard when it ends, as the core hears them; those accepted because of a step's record are
heard one step later, as a front end's are, which reads the record while the next step is ordered.
"""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, NamedTuple

from vllm.sampling_params import SamplingParams
from vllm.v1.core.sched.output import GrammarOutput, SchedulerOutput
from vllm.v1.engine import EngineCoreEventType, EngineCoreOutput
from vllm.v1.engine.core import EngineCore
from vllm.v1.metrics.stats import SchedulerStats
from vllm.v1.outputs import EMPTY_MODEL_RUNNER_OUTPUT, ModelRunnerOutput
from vllm.v1.request import Request

from admission.step_time import StepContents
from serve.sequences import EngineStep, Finished
from serve.simulated.no_weights import NoWeights
from serve.simulated.options import KEY, from_json, seconds_of
from serve.simulated.requests import BlockNames, EngineRequest, RequestBlocks
from serve.simulated.steps import StepReader

_WORD, _END = 0, 1  # the only tokens there are
_EMPTY_ORDERS_MAX = 8  # in a row with nothing running; vLLM itself would go on for ever


class Sequence:
    """One unfinished request, as `serve.sequences.RunningState` reads it; instants are virtual."""

    __slots__ = (
        "added_at_s",
        "begun_at_s",
        "external_req_id",
        "first_at_s",
        "last_at_s",
        "length_tokens",
        "max_tokens",
        "num_generation_tokens",
        "num_preemptions",
        "ordered_tokens",
        "request_index",
        "stats",
    )

    def __init__(self, request: EngineRequest, now_s: float) -> None:
        self.external_req_id = request.engine_id
        self.request_index = 0
        self.stats = self
        self.length_tokens = max(1, request.output_tokens)
        self.max_tokens = request.max_tokens
        self.added_at_s = now_s
        self.begun_at_s = self.first_at_s = self.last_at_s = -1.0  # until it is
        self.ordered_tokens = 0  # of steps that have begun
        self.num_generation_tokens = 0  # of steps that have ended
        self.num_preemptions = 0

    def next_token(self) -> int:
        """The token of a step that begins now."""
        self.ordered_tokens += 1
        return _END if self.ordered_tokens == self.length_tokens else _WORD

    def finished(self, reason: str) -> Finished:
        """As the front end reports it."""
        tokens = self.num_generation_tokens
        return Finished(
            engine_id=self.external_req_id,
            output_tokens=tokens,
            reason=reason,
            queued_s=self.begun_at_s - self.added_at_s,
            prefill_s=self.first_at_s - self.begun_at_s,
            tpot_s=(self.last_at_s - self.first_at_s) / max(1, tokens - 1),
            preemptions=self.num_preemptions,
        )


class _Timed(NamedTuple):
    """An order on its way; nothing is computed in an empty one."""

    empty: bool
    start_s: float
    end_s: float


class VirtualExecutor(NoWeights):
    """Answers at once; keeps when each ordered step begins and ends."""

    def _init_executor(self) -> None:
        options = from_json(self.vllm_config.additional_config[KEY])
        self.seconds: Callable[[StepContents], float] = seconds_of(options.step_time)
        self.sequences: dict[str, Sequence] = {}  # ended ones too, until the scheduler drops them
        self.now_s = 0.0
        self.steps: deque[_Timed] = deque()  # ordered and not yet over
        self._free_at_s = 0.0
        self._reader = StepReader(self._produced)
        self._output: ModelRunnerOutput | None = None

    def _produced(self, key: str) -> int:
        return self.sequences[key].ordered_tokens

    def execute_model(self, scheduler_output: SchedulerOutput, non_block: bool = False) -> Any:
        """Begins a step when the one before it is over."""
        order = scheduler_output
        self._reader.end(order)
        for key in order.finished_req_ids:
            self.sequences.pop(key, None)
        if not order.total_num_scheduled_tokens:
            self.steps.append(_Timed(True, self.now_s, self.now_s))
            return _done(EMPTY_MODEL_RUNNER_OUTPUT, non_block)
        self._reader.begin(order)
        reading = self._reader.read(order)
        start_s = max(self.now_s, self._free_at_s)
        self._free_at_s = start_s + self.seconds(reading.contents)
        self.steps.append(_Timed(False, start_s, self._free_at_s))
        for new in order.scheduled_new_reqs:
            sequence = self.sequences[new.req_id]
            if sequence.begun_at_s < 0:
                sequence.begun_at_s = self.now_s
        self._output = self._answered(order, reading.sampled)
        return _done(None, non_block)

    def _answered(self, order: SchedulerOutput, sampled: list[str]) -> ModelRunnerOutput:
        sequences = self.sequences
        said = {key: [sequences[key].next_token()] for key in sampled}
        ids = list(order.num_scheduled_tokens)
        return ModelRunnerOutput(
            req_ids=ids,
            req_id_to_index={key: place for place, key in enumerate(ids)},
            sampled_token_ids=[said.get(key, []) for key in ids],
        )

    def sample_tokens(self, grammar_output: GrammarOutput | None, non_block: bool = False) -> Any:  # noqa: ARG002 - vLLM's signature; nobody asks for a grammar
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
    changed. `usable_blocks` replaces the planned KV cache.
    """

    def __init__(self, config: Any, *, usable_blocks: int | None = None) -> None:
        if usable_blocks is not None:
            config.cache_config.num_gpu_blocks_override = usable_blocks + 1  # one is vLLM's own
        self._core = EngineCore(config, VirtualExecutor, log_stats=True)
        self._executor: VirtualExecutor = self._core.model_executor
        cache = config.cache_config
        self._usable_blocks = cache.num_gpu_blocks - 1
        self._names = BlockNames(cache.block_size) if cache.enable_prefix_caching else None
        self._block_tokens: int = cache.block_size
        self._sampling: dict[int, SamplingParams] = {}  # by max_tokens; requests only read it
        self._inbox: list[Request] = []
        self._added = 0
        self._over: tuple[_Timed, list[EngineCoreOutput], SchedulerStats] | None = None
        self.running: dict[str, Sequence] = {}  # as a front end knows them
        self.begun: list[str] = []  # engine ids: first tokens of the step that was finished last

    @property
    def ends_at_s(self) -> float | None:
        """When the step that runs is over; None while the engine is idle."""
        return None if self._over is None else self._over[0].end_s

    def add(self, request: EngineRequest, now_s: float) -> None:
        """Hand a request over; an idle engine begins with it at once."""
        self._added += 1
        key = f"{request.engine_id}-{self._added}"
        sequence = Sequence(request, now_s)
        self.running[key] = self._executor.sequences[key] = sequence
        self._inbox.append(
            Request(
                request_id=key,
                prompt_token_ids=[_WORD] * request.prompt_tokens,
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
                max_tokens=max_tokens, temperature=0.0, detokenize=False, stop_token_ids=[_END]
            )
        return self._sampling[max_tokens]

    def _hasher(self, request: EngineRequest) -> Callable[[Request], list[bytes]] | None:
        if self._names is None:
            return None
        return _Hasher(self._names.of(request), self._block_tokens)

    def finish_step(self) -> EngineStep:
        """The step that ran is over, as its record tells it; the core goes on with the next."""
        if self._over is None:
            raise RuntimeError("no step runs")
        timed, outputs, stats = self._over
        self._over = None
        step = self._read(timed, outputs, stats)
        self._go_on(timed.end_s)
        return step

    def _go_on(self, now_s: float) -> None:
        """Let the core order and finish until a step is over that computed something."""
        core, executor = self._core, self._executor
        executor.now_s = now_s
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
                told = outputs[0]
                self._over = timed, told.outputs, told.scheduler_stats
                return
        if core.scheduler.has_unfinished_requests():
            waiting, blocks = len(self.running), self._usable_blocks
            raise StuckError(f"{waiting} requests wait and none of them fits into {blocks} blocks")

    # -- what a front end makes of it ------------------------------------------------------

    def _read(
        self, timed: _Timed, outputs: list[EngineCoreOutput], stats: SchedulerStats
    ) -> EngineStep:
        """The record that `serve.engine.steps` makes of vLLM's statistics, in virtual seconds."""
        now_s, latest_s, preempted = timed.end_s, -1.0, 0
        finished: list[Finished] = []
        self.begun = []
        for output in outputs:
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

    def close(self) -> None:
        """Give its memory back."""
        self._core.shutdown()


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
