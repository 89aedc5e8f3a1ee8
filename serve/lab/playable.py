"""What a profile must say for the lab to play it."""

from pathlib import Path

from serve.profile.settings import load_profile


def context_tokens(config: Path, kv_tokens: int | None) -> int:
    """Prompt and answer that the model takes. ValueError where the lab cannot play the profile.

    `kv_tokens` is the cache asked for in place of the planned one.
    """
    profile = load_profile(config)
    if not profile.engine.simulated:
        raise ValueError(f"{config}: engine.kind: the lab runs simulated engines")
    given = profile.engine_args.get("max_model_len")
    if not isinstance(given, int):
        raise ValueError("engine_args.max_model_len: the lab needs it, as a number")
    if kv_tokens is not None and kv_tokens < given:
        raise ValueError(f"--kv-tokens {kv_tokens}: vLLM asks for max_model_len, {given}")
    return given
