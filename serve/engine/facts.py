"""Facts about a started engine's KV cache, in the memory model's terms."""

from typing import Any

from vllm.platforms import current_platform
from vllm.version import __version__

from admission.planning.memory.engine.arguments import EngineArguments
from serve.profile.plan_agreement import EngineFacts


def facts_of(config: Any) -> EngineFacts:
    """Facts of an engine by its VllmConfig, complete once the engine runs."""
    model, cache, parallel = config.model_config, config.cache_config, config.parallel_config
    scheduler = config.scheduler_config
    return EngineFacts(
        config=model.hf_config.to_dict(),
        arguments=EngineArguments(
            tensor_parallel_size=parallel.tensor_parallel_size,
            pipeline_parallel_size=parallel.pipeline_parallel_size,
            gpu_memory_utilization=cache.gpu_memory_utilization,
            max_model_len=model.max_model_len,
            max_num_seqs=scheduler.max_num_seqs,
            max_num_batched_tokens=scheduler.max_num_batched_tokens,
            block_size=cache.block_size,
            quantization=model.quantization,
            dtype=str(model.dtype).removeprefix("torch."),
            kv_cache_dtype=cache.cache_dtype,
            enforce_eager=model.enforce_eager,
            enable_prefix_caching=bool(cache.enable_prefix_caching),
            vllm_version=__version__,
        ),
        gpu=None if current_platform.is_cpu() else current_platform.get_device_name(),
        kv_bytes=cache.kv_cache_memory_bytes,
        blocks=cache.num_gpu_blocks,
        additional=config.additional_config,
    )
