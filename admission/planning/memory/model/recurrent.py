"""Layers with a state in a config.json: gated delta nets, Kimi's, Mamba 1 and 2, convolutions."""

import math
from typing import Any

from admission.planning.memory.model.formats import dtype_bytes
from admission.planning.memory.model.keys import Keys
from admission.planning.memory.model.model_shape import Recurrent


def recurrent_mixer(keys: Keys) -> Recurrent:
    """State and weights of one recurrent layer; ValueError if the family is unknown."""
    linear = keys.get("linear_attn_config")
    if keys.number("linear_num_value_heads"):
        return _gated_delta_net(keys)
    if isinstance(linear, dict):
        return _kimi_delta(linear, keys.need("hidden_size"))
    if keys.number("mamba_n_heads"):
        return _mamba2(keys)
    if keys.get("mamba_dt_rank") is not None:
        return _mamba1(keys)
    raise ValueError(
        "config.json: recurrent layers without linear_num_value_heads, linear_attn_config,"
        " mamba_n_heads or mamba_dt_rank; these four families are known"
    )


def short_convolution(keys: Keys) -> Recurrent:
    """LFM2: a convolution over the hidden size; its state is only its last inputs."""
    hidden = keys.need("hidden_size")
    kernel = keys.number("conv_L_cache", default=3)
    return Recurrent(hidden, kernel, 0, 0, parameters=4 * hidden * hidden)


def _gated_delta_net(keys: Keys) -> Recurrent:
    """Qwen3-Next, 3.5 and later: conv over q, k, v; state value heads x key size x value size.

    State numbers have 2 bytes, or 4 where `mamba_ssm_dtype` is float32. Confirmed by the logged
    attention block sizes 544 (Qwen3-Next) and 1568 (Qwen3.8).
    """
    key_heads, value_heads = keys.need("linear_num_key_heads"), keys.need("linear_num_value_heads")
    key = key_heads * keys.need("linear_key_head_dim")
    value = value_heads * keys.need("linear_value_head_dim")
    hidden = keys.need("hidden_size")
    return Recurrent(
        conv_channels=2 * key + value,
        conv_kernel=keys.number("linear_conv_kernel_dim", default=4),
        state_numbers=value * keys.need("linear_key_head_dim"),
        state_bytes=dtype_bytes(str(keys.get("mamba_ssm_dtype") or "auto")),
        parameters=hidden * (2 * key + 2 * value + 2 * value_heads) + value * hidden,
        heads=math.gcd(key_heads, value_heads),
    )


def _kimi_delta(linear: dict[str, Any], hidden: int) -> Recurrent:
    """Kimi Linear: conv over q, k, v of the same width; state heads x size x size of 4 bytes."""
    try:
        heads, size = int(linear["num_heads"]), int(linear["head_dim"])
    except (KeyError, TypeError, ValueError) as problem:
        raise ValueError("config.json: linear_attn_config lacks num_heads or head_dim") from problem
    width = heads * size
    return Recurrent(
        conv_channels=3 * width,
        conv_kernel=int(linear.get("short_conv_kernel_size") or 4),
        state_numbers=width * size,
        state_bytes=4,
        parameters=hidden * (4 * width + heads) + 4 * size * (hidden + width) // 2,
        heads=heads,
    )


def _mamba2(keys: Keys) -> Recurrent:
    """Mamba 2 (Granite 4, Nemotron-H, Bamba): conv over x, B, C; state heads x size x d_state."""
    keys.get("mamba_expand")  # heads x size states it as well
    heads, hidden = keys.need("mamba_n_heads"), keys.need("hidden_size")
    size = keys.number("mamba_d_head") or keys.number("mamba_expand", default=2) * hidden // heads
    state = keys.number("mamba_d_state", default=128)
    groups = keys.number("mamba_n_groups", default=1)
    inner = heads * size
    return Recurrent(
        conv_channels=inner + 2 * groups * state,
        conv_kernel=keys.number("mamba_d_conv", default=4),
        state_numbers=inner * state,
        state_bytes=dtype_bytes(str(keys.get("mamba_ssm_cache_dtype") or "auto")),
        parameters=hidden * (2 * inner + 2 * groups * state + heads) + inner * hidden,
        heads=heads,
    )


def _mamba1(keys: Keys) -> Recurrent:
    """Mamba 1 (Jamba): conv over x; state inner x d_state, in the model's dtype."""
    hidden = keys.need("hidden_size")
    inner = keys.number("mamba_expand", default=2) * hidden
    state = keys.number("mamba_d_state", default=16)
    rank = keys.get("mamba_dt_rank")
    low = rank if isinstance(rank, int) else -(-hidden // 16)
    return Recurrent(
        conv_channels=inner,
        conv_kernel=keys.number("mamba_d_conv", default=4),
        state_numbers=inner * state,
        state_bytes=dtype_bytes(str(keys.get("mamba_ssm_cache_dtype") or "auto")),
        parameters=hidden * 3 * inner + inner * (2 * low + 2 * state),
    )
