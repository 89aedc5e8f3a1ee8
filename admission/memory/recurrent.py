"""Recurrent layers in a config.json: gated delta nets, Kimi's delta attention, Mamba 2."""

from collections.abc import Mapping
from typing import Any

from admission.memory.formats import dtype_bytes
from admission.memory.model_shape import Recurrent


def recurrent_mixer(config: Mapping[str, Any]) -> Recurrent:
    """State and weights of one recurrent layer; ValueError where the family is unknown."""
    if config.get("linear_num_value_heads"):
        return _gated_delta_net(config)
    if isinstance(config.get("linear_attn_config"), Mapping):
        return _kimi_delta(config)
    if config.get("mamba_n_heads") or config.get("mamba_num_heads"):
        return _mamba2(config)
    raise ValueError(
        "config.json: recurrent layers without linear_num_value_heads, linear_attn_config or"
        " mamba_n_heads; these three families are known"
    )


def _gated_delta_net(config: Mapping[str, Any]) -> Recurrent:
    """Qwen3-Next, 3.5 and later: conv over q, k, v; state value heads x key size x value size.

    State numbers have 2 bytes, or 4 where `mamba_ssm_dtype` is float32. Confirmed by the logged
    attention block sizes 544 (Qwen3-Next) and 1568 (Qwen3.8).
    """
    key = int(config["linear_num_key_heads"]) * int(config["linear_key_head_dim"])
    value_heads = int(config["linear_num_value_heads"])
    value = value_heads * int(config["linear_value_head_dim"])
    hidden = int(config["hidden_size"])
    return Recurrent(
        conv_channels=2 * key + value,
        conv_kernel=int(config.get("linear_conv_kernel_dim") or 4),
        state_numbers=value * int(config["linear_key_head_dim"]),
        state_bytes=dtype_bytes(str(config.get("mamba_ssm_dtype") or "auto")),
        parameters=hidden * (2 * key + 2 * value + 2 * value_heads) + value * hidden,
    )


def _kimi_delta(config: Mapping[str, Any]) -> Recurrent:
    """Kimi Linear: conv over q, k, v of the same width; state heads x size x size of 4 bytes."""
    linear = config["linear_attn_config"]
    heads, size = int(linear["num_heads"]), int(linear["head_dim"])
    width, hidden = heads * size, int(config["hidden_size"])
    return Recurrent(
        conv_channels=3 * width,
        conv_kernel=int(linear.get("short_conv_kernel_size") or 4),
        state_numbers=width * size,
        state_bytes=4,
        parameters=hidden * (4 * width + heads) + 4 * size * (hidden + width) // 2,
    )


def _mamba2(config: Mapping[str, Any]) -> Recurrent:
    """Mamba 2 (Granite 4, Nemotron-H, Bamba): conv over x, B, C; state heads x size x d_state."""
    heads = int(config.get("mamba_n_heads") or config["mamba_num_heads"])
    size = int(config.get("mamba_d_head") or config["mamba_head_dim"])
    state = int(config.get("mamba_d_state") or config.get("ssm_state_size") or 128)
    groups = int(config.get("mamba_n_groups") or config.get("n_groups") or 1)
    inner, hidden = heads * size, int(config["hidden_size"])
    return Recurrent(
        conv_channels=inner + 2 * groups * state,
        conv_kernel=int(config.get("mamba_d_conv") or config.get("conv_kernel") or 4),
        state_numbers=inner * state,
        state_bytes=dtype_bytes(str(config.get("mamba_ssm_cache_dtype") or "auto")),
        parameters=hidden * (2 * inner + 2 * groups * state + heads) + inner * hidden,
    )
