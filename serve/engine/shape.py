"""The capacity of a running engine, from its configuration and its KV-cache groups."""

from collections.abc import Sequence
from typing import Any

from admission.price.footprint import EngineShape

GROUPS = "get_kv_cache_group_metadata"  # EngineCore's method: one mapping per group

# A sequence of these kinds needs one more block per block size, to its end. vLLM's names
# (`KVCacheSpecKind`).
_PRICED = frozenset({"full_attention", "mla_attention", "sink_full_attention"})
# Layers of these kinds are held like full attention if vLLM has one group.
_WINDOWS = frozenset({"sliding_window", "sliding_window_mla", "chunked_local_attention"})


class EngineStartError(RuntimeError):
    """The engine cannot be run under admission; the message says why and what to change."""


def shape_of(config: Any, groups: Sequence[dict[str, Any]]) -> EngineShape:
    """By its VllmConfig and what it answers to `GROUPS`; EngineStartError says why it has none."""
    cache, scheduler = config.cache_config, config.scheduler_config
    blocks = cache.num_gpu_blocks
    if not blocks or not groups:
        raise EngineStartError("the engine reports no KV cache: only generation models are served")
    speculative = config.speculative_config
    ahead = speculative.num_speculative_tokens if speculative else 0
    return EngineShape(
        usable_blocks=blocks - 1,
        block_tokens=_block_tokens(groups),
        max_sequences=scheduler.max_num_active_seqs or scheduler.max_num_seqs,
        max_model_len=config.model_config.max_model_len,
        max_batched_tokens=scheduler.max_num_batched_tokens,
        prefix_caching=bool(cache.enable_prefix_caching),
        lookahead_tokens=ahead + int(bool(scheduler.async_scheduling)),
    )


def _block_tokens(groups: Sequence[dict[str, Any]]) -> int:
    """Tokens of a block, where every layer fills its blocks at one pace."""
    kinds = [str(group["kind"]) for group in groups]
    if len(groups) == 1 and kinds[0] in _PRICED:
        return int(groups[0]["block_size"])
    told = ", ".join(kinds)
    if len(groups) > 1 and set(kinds) <= _PRICED | _WINDOWS:
        raise EngineStartError(
            f"the engine has {len(groups)} KV-cache groups ({told}), which are not priced. Set "
            "engine_args.disable_hybrid_kv_cache_manager: true (vLLM's "
            "--disable-hybrid-kv-cache-manager): all layers then hold as much as full attention, "
            "in one group"
        )
    raise EngineStartError(
        f"the engine's KV-cache groups ({told}) are not priced: only models whose layers all hold "
        "one more block per block of tokens are served"
    )
