"""An executor that keeps time instead of weights: vLLM's scheduler and KV cache without a model.

Named in a profile as `engine_args.distributed_executor_backend: serve.simulated.FixedStepExecutor`,
with `additional_config: {step_s: 0.02}`. Every step takes the same time, so that what stands in
front of the engine can be measured. Synchronous; the modelled GPU step times come later.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from vllm.v1.core.sched.output import SchedulerOutput
from vllm.v1.executor.abstract import Executor
from vllm.v1.kv_cache_interface import FullAttentionSpec, KVCacheSpec
from vllm.v1.outputs import ModelRunnerOutput

_FILLER_TOKEN = 260  # any ordinary token; the text does not matter


class FixedStepExecutor(Executor):  # type: ignore[misc]  # untyped in vLLM
    """Answers every scheduled sequence with one token after `step_s` seconds."""

    supports_pp = False

    def _init_executor(self) -> None:
        options = self.vllm_config.additional_config
        self._step_s = float(options["step_s"])
        self._prompt_tokens: dict[str, int] = {}
        # as a real executor's: the engine core measures how long it waits for the answer
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="simulated-gpu")

    # -- what the engine asks at start -----------------------------------------------------

    def get_kv_cache_specs(self) -> list[dict[str, KVCacheSpec]]:
        """The same full-attention layers on every rank, as the model's config names them."""
        model, parallel = self.model_config, self.parallel_config
        spec = FullAttentionSpec(
            block_size=self.cache_config.block_size,
            num_kv_heads=model.get_num_kv_heads(parallel),
            head_size=model.get_head_size(),
            dtype=torch.bfloat16,
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
        """What the profile gives the cache: `engine_args.kv_cache_memory_bytes`, per rank."""
        return [int(self.cache_config.kv_cache_memory_bytes)] * self.parallel_config.world_size

    def initialize_from_config(self, kv_cache_configs: list[Any]) -> None:
        """There is no cache memory."""

    def compile_or_warm_up_model(self) -> None:
        """There is no model."""

    def collective_rpc(self, method: Any, *_: Any, **__: Any) -> Any:
        """Only what the engine asks of its workers by this way at start and end."""
        return [("generate",)] if method == "get_supported_tasks" else [None]

    def check_health(self) -> None:
        """Always well."""

    def shutdown(self) -> None:
        """Ends the thread that keeps time."""
        self._worker.shutdown(wait=False)

    # -- a step ----------------------------------------------------------------------------

    def execute_model(self, scheduler_output: SchedulerOutput, non_block: bool = False) -> Any:
        """One token for each sequence whose prompt is computed, `step_s` later."""
        step = self._worker.submit(self._run, scheduler_output)
        return step if non_block else step.result()

    def _run(self, step: SchedulerOutput) -> ModelRunnerOutput:
        output = self._output(step)
        if step.total_num_scheduled_tokens:
            time.sleep(self._step_s)
        return output

    def take_draft_token_ids(self) -> None:
        """No speculation."""

    def _output(self, step: SchedulerOutput) -> ModelRunnerOutput:
        known = self._known_tokens(step)
        ids = list(step.num_scheduled_tokens)
        sampled = [
            [_FILLER_TOKEN] if computed + step.num_scheduled_tokens[key] >= total else []
            for key in ids
            for computed, total in (known[key],)
        ]
        for key in step.finished_req_ids:
            self._prompt_tokens.pop(key, None)
        index = {key: position for position, key in enumerate(ids)}
        return ModelRunnerOutput(req_ids=ids, req_id_to_index=index, sampled_token_ids=sampled)

    def _known_tokens(self, step: SchedulerOutput) -> dict[str, tuple[int, int]]:
        """By request: tokens computed before this step, and tokens there are in all."""
        known: dict[str, tuple[int, int]] = {}
        for new in step.scheduled_new_reqs:
            prompt = len(new.prompt_token_ids or ())
            self._prompt_tokens[new.req_id] = prompt
            known[new.req_id] = (new.num_computed_tokens, prompt)
        old = step.scheduled_cached_reqs
        for key, computed, produced in zip(
            old.req_ids, old.num_computed_tokens, old.num_output_tokens, strict=True
        ):
            known[key] = (computed, self._prompt_tokens[key] + produced)
        return known
