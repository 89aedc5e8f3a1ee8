"""Engine arguments that cost or save memory but that no formula here counts."""

from collections.abc import Iterator, Mapping
from typing import Any

# vLLM's name -> its effect. The values false, null, 0, 1 (one of a kind) and {} have no effect.
_BRINGS = {
    "speculative_config": "the draft model and its cache (speculative_config)",
    "enable_lora": "adapters (enable_lora)",
    "kv_transfer_config": "KV transfer (kv_transfer_config)",
    "kv_offloading_size": "KV offloading (kv_offloading_size)",
    "cpu_offload_gb": "weights offloaded to the CPU (cpu_offload_gb)",
    "offload_group_size": "weights offloaded to the CPU (offload_group_size)",
    "enable_expert_parallel": "expert parallelism (enable_expert_parallel)",
    "enable_eplb": "redundant experts (enable_eplb)",
    "data_parallel_size": "data parallelism (data_parallel_size)",
    "prefill_context_parallel_size": "context parallelism (prefill_context_parallel_size)",
    "kv_cache_dtype_skip_layers": "layers kept out of the KV format (kv_cache_dtype_skip_layers)",
    "num_gpu_blocks_override": "a fixed number of blocks (num_gpu_blocks_override)",
    "disable_hybrid_kv_cache_manager": "windows kept as full layers"
    " (disable_hybrid_kv_cache_manager)",
    "mm_encoder_tp_mode": "how the encoder is split (mm_encoder_tp_mode)",
    "enable_dbo": "two batches at once (enable_dbo)",
    "mamba_cache_dtype": "the states' format (mamba_cache_dtype)",
    "mamba_ssm_cache_dtype": "the states' format (mamba_ssm_cache_dtype)",
    "mamba_block_size": "the states' blocks (mamba_block_size)",
    "language_model_only": "leaving out the encoder (language_model_only)",
    "enable_sleep_mode": "sleep mode (enable_sleep_mode)",
    "quantization_config": "a quantisation of one's own (quantization_config)",
}
_NOTHING = (None, False, 0, 1, "", "auto", "none", "weights")


def not_counted(engine_args: Mapping[str, Any]) -> tuple[str, ...]:
    """The effects of the given arguments that the plan leaves out, in words."""
    return tuple(_found(engine_args))


def _found(engine_args: Mapping[str, Any]) -> Iterator[str]:
    for name, what in _BRINGS.items():
        value = engine_args.get(name)
        if value is True or (value and value not in _NOTHING):
            yield what
