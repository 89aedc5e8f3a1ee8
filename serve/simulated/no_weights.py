"""What every executor without a model tells vLLM at start: its layers' KV cache, and no more."""

from typing import Any

from vllm.v1.executor.abstract import Executor
from vllm.v1.kv_cache_interface import FullAttentionSpec, KVCacheSpec


class NoWeights(Executor):  # type: ignore[misc]  # untyped in vLLM
    """vLLM's scheduler and KV cache get their sizes from it; what a step does is the subclass's."""

    supports_pp = False

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
        """What the engine asks of its workers by this way."""
        return [("generate",)] if method == "get_supported_tasks" else [None]

    def take_draft_token_ids(self) -> None:
        """No speculation."""

    def check_health(self) -> None:
        """Always well."""

    def shutdown(self) -> None:
        """Nothing runs beside the engine."""
