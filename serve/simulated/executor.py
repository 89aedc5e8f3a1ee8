"""An executor that keeps time in place of weights: the only part of the simulation in vLLM's words.

vLLM asks it for two things per step: `execute_model` with what the scheduler ordered, then
`sample_tokens` with what grammars allow. It answers with tokens when the modelled step is over.
"""

import sys
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from vllm.tokenizers import cached_tokenizer_from_config
from vllm.v1.core.sched.output import GrammarOutput, SchedulerOutput
from vllm.v1.executor.abstract import Executor
from vllm.v1.kv_cache_interface import FullAttentionSpec, KVCacheSpec
from vllm.v1.outputs import EMPTY_MODEL_RUNNER_OUTPUT, ModelRunnerOutput

from serve.simulated.answers import FILLER, IN_TEXT, OUTSIDE, Answers, Words
from serve.simulated.options import KEY, from_json, seconds_of
from serve.simulated.steps import Reading, StepReader
from serve.simulated.timekeeper import REPORT, Timekeeper

_SWITCH_S = 0.0005


class SimulatedExecutor(Executor):  # type: ignore[misc]  # untyped in vLLM
    """One token for every sequence that is due, when the modelled step is over."""

    supports_pp = False

    def _init_executor(self) -> None:
        options = from_json(self.vllm_config.additional_config[KEY])
        self._seconds = seconds_of(options.step_time)
        self._time = Timekeeper(options.speed)
        self._answers = Answers(self._words(), options.lengths, seed=options.seed)
        self._reader = StepReader(self._answers.produced)
        self._ordered: tuple[SchedulerOutput, Reading, tuple[float, float]] | None = None
        # Who wakes up from a step waits for Python's lock while the scheduler runs: up to 5 ms by
        # default, half a step at speed 4.
        sys.setswitchinterval(_SWITCH_S)
        # as a real executor's: the engine core goes on while it waits for the answer
        self._gpu = ThreadPoolExecutor(1, thread_name_prefix="simulated-gpu")

    def _words(self) -> Words:
        tokenizer = cached_tokenizer_from_config(self.model_config)

        def ids(texts: Iterable[str]) -> list[int]:
            encoded = (tokenizer.encode(text, add_special_tokens=False) for text in texts)
            return [each[0] for each in encoded if len(each) == 1]

        return Words(
            filler=tokenizer.encode(FILLER, add_special_tokens=False),
            in_text=ids(IN_TEXT),
            outside=ids(OUTSIDE),
            eos=tokenizer.eos_token_id,
            spell=lambda token: str(tokenizer.decode([token])),
        )

    # -- what the engine asks at start -----------------------------------------------------

    @classmethod
    def supports_async_scheduling(cls) -> bool:
        """The next step may be ordered while this one runs, as on a GPU."""
        return True

    def get_kv_cache_specs(self) -> list[dict[str, KVCacheSpec]]:
        """The same full-attention layers on every rank, as the model's config names them."""
        model, parallel = self.model_config, self.parallel_config
        spec = FullAttentionSpec(
            block_size=self.cache_config.block_size,
            num_kv_heads=model.get_num_kv_heads(parallel),
            head_size=model.get_head_size(),
            dtype=model.dtype,
        )
        layers: dict[str, KVCacheSpec] = {
            f"model.layers.{index}.self_attn": spec
            for index in range(model.get_num_layers(parallel))
        }
        return [layers] * parallel.world_size

    def get_supported_kv_cache_layouts(self) -> list[list[str]]:
        """One layout; nothing is laid out."""
        return [["LBHNC"]] * self.parallel_config.world_size

    def set_kv_cache_layout(self, layout_name: str) -> None:
        """There is no cache memory."""

    def determine_available_memory(self) -> list[int]:
        """What the plan gives the cache, per rank (`serve.simulated.planned`)."""
        return [int(self.cache_config.kv_cache_memory_bytes)] * self.parallel_config.world_size

    def initialize_from_config(self, kv_cache_configs: list[Any]) -> None:
        """There is no cache memory."""

    def compile_or_warm_up_model(self) -> None:
        """There is no model."""

    def collective_rpc(self, method: Any, *_: Any, **__: Any) -> Any:
        """What the engine asks of its workers by this way, and our own report."""
        if method == REPORT:
            return [self._time.report()]
        return [("generate",)] if method == "get_supported_tasks" else [None]

    def check_health(self) -> None:
        """Always well."""

    def shutdown(self) -> None:
        """Ends the thread that keeps time."""
        self._gpu.shutdown(wait=False)

    # -- a step ----------------------------------------------------------------------------

    def execute_model(self, scheduler_output: SchedulerOutput, non_block: bool = False) -> Any:
        """Begins a step. The answer is None, and tokens follow; or empty when none are due."""
        self._forget(scheduler_output)
        if not scheduler_output.total_num_scheduled_tokens:
            return _done(EMPTY_MODEL_RUNNER_OUTPUT, non_block)
        for new in scheduler_output.scheduled_new_reqs:
            self._answers.begin(new.req_id, new.sampling_params)
        self._reader.begin(scheduler_output)
        reading = self._reader.read(scheduler_output)
        times = self._time.schedule(self._seconds(reading.contents), goes_on=reading.goes_on)
        self._ordered = scheduler_output, reading, times
        return _done(None, non_block)

    def sample_tokens(self, grammar_output: GrammarOutput | None, non_block: bool = False) -> Any:
        """The tokens of the step that was begun last, when it is over."""
        if self._ordered is None:
            raise RuntimeError("tokens were asked for without a step")
        order, reading, (start_s, end_s) = self._ordered
        self._ordered = None
        output = self._output(order, reading, grammar_output)

        def over() -> ModelRunnerOutput:
            self._time.wait(start_s, end_s)
            return output

        step = self._gpu.submit(over)
        return step if non_block else step.result()

    def take_draft_token_ids(self) -> None:
        """No speculation."""

    def _output(
        self, order: SchedulerOutput, reading: Reading, grammar: GrammarOutput | None
    ) -> ModelRunnerOutput:
        allowed = {}
        if grammar is not None:
            rows = zip(grammar.structured_output_request_ids, grammar.grammar_bitmask, strict=True)
            allowed = dict(rows)
        said = {key: [self._answers.next_token(key, allowed.get(key))] for key in reading.sampled}
        ids = list(order.num_scheduled_tokens)
        return ModelRunnerOutput(
            req_ids=ids,
            req_id_to_index={key: position for position, key in enumerate(ids)},
            sampled_token_ids=[said.get(key, []) for key in ids],
        )

    def _forget(self, order: SchedulerOutput) -> None:
        self._reader.end(order)
        for key in order.finished_req_ids:
            self._answers.end(key)


def _done(answer: ModelRunnerOutput | None, non_block: bool) -> Any:
    if not non_block:
        return answer
    future: Future[ModelRunnerOutput | None] = Future()
    future.set_result(answer)
    return future
