"""Checks that the lab can play a profile; a ValueError names what the profile lacks."""

from pathlib import Path

from serve.profile.settings import Profile, load_profile


def context_tokens(config: Path, kv_tokens: int | None) -> int:
    """The longest prompt plus answer that the model of a simulated profile accepts.

    `kv_tokens` overrides the planned size of the cache; None = the planned one.
    """
    profile = load_profile(config)
    if not profile.engine.simulated:
        raise ValueError(f"{config}: engine.kind: the lab runs simulated engines")
    context = named_context_tokens(profile)
    check_cache(kv_tokens, context)
    return context


def named_context_tokens(profile: Profile) -> int:
    """`max_model_len`; ValueError unless the profile gives it as a number."""
    given = profile.engine_args.get("max_model_len")
    if not isinstance(given, int):
        raise ValueError("engine_args.max_model_len: the lab needs it, as a number")
    return given


def check_cache(kv_tokens: int | None, context: int) -> None:
    """ValueError unless a given cache holds one request of the model's context."""
    if kv_tokens is not None and kv_tokens < context:
        raise ValueError(f"--kv-tokens {kv_tokens}: vLLM asks for max_model_len, {context}")
