"""The engine for a replay: the profile's, or a simulated one in its place.

A real engine is replaced by vLLM's scheduler and cache with the sizes in the log and the calibrated
step times. No weights are needed: the shape comes from a model without any.
"""

from dataclasses import asdict, dataclass
from typing import Any

from admission.price.footprint import EngineShape
from loadtests.lab.playing.playable import check_cache, named_context_tokens
from serve.profile.settings import Profile

_MODEL = "qwen3-32b"  # embedded, without weights
_MODEL_CONTEXT_TOKENS = 40_960
_MODEL_KV_BYTES = 64 * 2 * 8 * 128 * 2  # per token: layers x K and V x heads x size x 16 bits
_SIZES = ("block_size", "max_num_seqs", "max_model_len", "max_num_batched_tokens")


@dataclass(frozen=True, slots=True)
class Playable:
    """A simulated profile, and the size of the KV cache if it replaces the planned one."""

    profile: Profile
    kv_tokens: int | None


def playable(profile: Profile, logged: EngineShape | None, kv_tokens: int | None) -> Playable:
    """The engine to use; ValueError names what is missing. `kv_tokens` overrides the log's."""
    if kv_tokens is None and logged is not None:
        kv_tokens = logged.capacity_tokens
    context = _context_tokens(profile, logged)
    check_cache(kv_tokens, context)
    if profile.engine.simulated:
        return Playable(profile, kv_tokens)
    if profile.step_time.coefficients is None:
        raise ValueError(
            "step_time is missing, so the engine's step times are unknown: write it with "
            "`sluice calibrate --config FILE --write`"
        )
    if kv_tokens is None:
        raise ValueError("the log does not name the engine's KV cache: say --kv-tokens")
    sizes = _named(profile) if logged is None else _of_log(logged)
    return Playable(_simulated(profile, sizes, kv_tokens), kv_tokens)


def _context_tokens(profile: Profile, logged: EngineShape | None) -> int:
    if logged is not None and not profile.engine.simulated:
        return logged.max_model_len
    return named_context_tokens(profile)


def _of_log(logged: EngineShape) -> dict[str, Any]:
    return {
        "block_size": logged.block_tokens,
        "max_num_seqs": logged.max_sequences,
        "max_model_len": logged.max_model_len,
        "max_num_batched_tokens": logged.max_batched_tokens,
        "enable_prefix_caching": logged.prefix_caching,
        "async_scheduling": logged.lookahead_tokens > 0,
    }


def _named(profile: Profile) -> dict[str, Any]:
    """The sizes in the profile, for a log that names no engine; all must be given."""
    given = profile.engine_args
    missing = [name for name in _SIZES if not isinstance(given.get(name), int)]
    if missing:
        raise ValueError(f"engine_args.{missing[0]}: the log names no engine, so say it here")
    caching = bool(given.get("enable_prefix_caching", True))
    ahead = bool(given.get("async_scheduling", True))
    sizes = {name: given[name] for name in _SIZES}
    return sizes | {"enable_prefix_caching": caching, "async_scheduling": ahead}


def _simulated(profile: Profile, sizes: dict[str, Any], kv_tokens: int) -> Profile:
    context = sizes["max_model_len"]
    longer = {"hf_overrides": {"max_position_embeddings": context}}
    return Profile.model_validate(
        {
            "engine": {"kind": "simulated", "embedded_model": _MODEL},
            "engine_args": {
                **sizes,
                **(longer if context > _MODEL_CONTEXT_TOKENS else {}),
                "dtype": "bfloat16",
                "enable_chunked_prefill": True,
                "kv_cache_memory_bytes": kv_tokens * _MODEL_KV_BYTES,
            },
            "step_time": profile.step_time.model_dump(),
            "admission": profile.admission.model_dump(),
        }
    )


def differences(logged: EngineShape, played: EngineShape) -> list[str]:
    """How the engine of the replay differs from the logged one, apart from the cache."""
    theirs, ours = asdict(logged), asdict(played)
    return [
        f"{name} {theirs[name]} in the log, {ours[name]} here"
        for name in theirs
        if name != "usable_blocks" and theirs[name] != ours[name]
    ]
