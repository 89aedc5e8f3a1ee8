"""What a profile must say for the lab to play it. ValueError says what it does not."""

from pathlib import Path

from serve.profile.settings import Profile, load_profile


def context_tokens(config: Path, kv_tokens: int | None) -> int:
    """Prompt and answer that the model of a simulated profile takes.

    `kv_tokens` is the cache asked for in place of the planned one.
    """
    profile = load_profile(config)
    if not profile.engine.simulated:
        raise ValueError(f"{config}: engine.kind: the lab runs simulated engines")
    context = named_context_tokens(profile)
    check_cache(kv_tokens, context)
    return context


def named_context_tokens(profile: Profile) -> int:
    """`max_model_len`, as a number."""
    given = profile.engine_args.get("max_model_len")
    if not isinstance(given, int):
        raise ValueError("engine_args.max_model_len: the lab needs it, as a number")
    return given


def check_cache(kv_tokens: int | None, context: int) -> None:
    """A cache that is asked for holds one request of the model's context."""
    if kv_tokens is not None and kv_tokens < context:
        raise ValueError(f"--kv-tokens {kv_tokens}: vLLM asks for max_model_len, {context}")
