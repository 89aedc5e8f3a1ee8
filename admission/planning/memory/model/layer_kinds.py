"""How each layer of a config.json mixes tokens: a kind of attention, a state, or not at all."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from admission.planning.memory.model.keys import Keys


class LayerKind(StrEnum):
    """One layer's mixer; Nemotron-H's feed-forward layers have a kind of their own."""

    FULL = "full"
    SLIDING = "sliding"
    CHUNKED = "chunked"
    RECURRENT = "recurrent"
    CONVOLUTION = "convolution"
    DENSE = "dense"
    EXPERTS = "experts"
    ABSENT = "absent"


_FULL, _SLIDING, _RECURRENT = LayerKind.FULL, LayerKind.SLIDING, LayerKind.RECURRENT
_KINDS = {
    "full_attention": _FULL,
    "attention": _FULL,
    "global_attention": _FULL,
    "indexed_attention": _FULL,
    "deepseek_sparse_attention": _FULL,
    "sliding_attention": _SLIDING,
    "local_attention": _SLIDING,
    "chunked_attention": LayerKind.CHUNKED,
    "linear_attention": _RECURRENT,
    "mamba": _RECURRENT,
    "mamba2": _RECURRENT,
    "kda": _RECURRENT,
    "conv": LayerKind.CONVOLUTION,
    "mlp": LayerKind.DENSE,
    "moe": LayerKind.EXPERTS,
    # Nemotron-H's letters and MiniMax's numbers
    "M": _RECURRENT,
    "*": _FULL,
    "-": LayerKind.DENSE,
    "E": LayerKind.EXPERTS,
    "0": _RECURRENT,
    "1": _FULL,
}
_EVERY = {"gemma2": 2, "gemma3": 6, "gemma4": 6, "gpt_oss": 2, "gptoss": 2}  # each n-th is full


def layer_kinds(
    keys: Keys, count: int, model_type: str, usual: Sequence[str] = ()
) -> list[LayerKind]:
    """Each layer's kind, first to last; `usual` are the kinds that repeat in this family.

    The first of these decides: a list of all layers, a key that names the layers with full
    attention, the family itself. ValueError for an unknown kind.
    """
    stated = keys.get("layer_types")
    if isinstance(stated, list | str) and len(stated) >= count:
        return [_kind(name) for name in stated[:count]]
    if isinstance(stated, list) and stated:
        raise ValueError(f"config.json: layer_types has {len(stated)} entries for {count} layers")
    for rule in (_by_interval, _by_list, _by_period):
        found = rule(keys, count)
        if found:
            return found
    return _of_family(keys, count, model_type, usual)


def _kind(name: Any) -> LayerKind:
    if str(name) not in _KINDS:
        known = ", ".join(sorted(x for x in _KINDS if len(x) > 1))
        raise ValueError(f"config.json: unknown layer type {str(name)!r}; known: {known}")
    return _KINDS[str(name)]


def _every(count: int, every: int, others: LayerKind) -> list[LayerKind]:
    return [_FULL if (i + 1) % every == 0 else others for i in range(count)]


def _by_interval(keys: Keys, count: int) -> list[LayerKind]:
    """Every n-th layer has full attention: Qwen3-Next and later, Gemma 3, Llama 4."""
    for name, others in (
        ("full_attention_interval", _RECURRENT),
        ("sliding_window_pattern", _SLIDING),
        ("chunked_attention_pattern", LayerKind.CHUNKED),
    ):
        every = keys.get(name)
        if isinstance(every, int) and every > 1:
            return _every(count, every, others)
        if isinstance(every, str) and set(every) == {"L", "G"}:  # EXAONE 4: "LLLG"
            return [_SLIDING if every[i % len(every)] == "L" else _FULL for i in range(count)]
    return []


def _by_list(keys: Keys, count: int) -> list[LayerKind]:
    """Layers by number: Kimi counts full layers from 1, LFM2 from 0; MiMo marks windows with 1."""
    linear = keys.get("linear_attn_config")
    if isinstance(linear, dict) and linear.get("full_attn_layers"):
        full = set(linear["full_attn_layers"])
        return [_FULL if i + 1 in full else _RECURRENT for i in range(count)]
    full_of = keys.get("attn_layer_indices")  # Bamba
    if isinstance(full_of, list) and full_of:
        return [_FULL if i in full_of else _RECURRENT for i in range(count)]
    full_of = keys.get("full_attn_idxs")
    if isinstance(full_of, list) and full_of:
        return [_FULL if i in full_of else LayerKind.CONVOLUTION for i in range(count)]
    windows = keys.get("hybrid_layer_pattern")
    if isinstance(windows, list) and len(windows) >= count:
        return [_SLIDING if x == 1 else _FULL for x in windows[:count]]
    return []


def _by_period(keys: Keys, count: int) -> list[LayerKind]:
    """Jamba: one layer in each period has attention, the others have states."""
    period = keys.number("attn_layer_period")
    if period < 1:
        return []
    offset = keys.number("attn_layer_offset")
    return [_FULL if i % period == offset else _RECURRENT for i in range(count)]


def _of_family(keys: Keys, count: int, model_type: str, usual: Sequence[str]) -> list[LayerKind]:
    """Families without keys per layer: Gemma 2 alternates, Gemma 3 is 5:1, Llama 4 is 3:1."""
    for name, every in _EVERY.items():
        if model_type.startswith(name):
            return _every(count, every, _SLIDING)
    if usual:
        return [_kind(usual[i % len(usual)]) for i in range(count)]
    if keys.number("attention_chunk_size"):
        return _every(count, 4, LayerKind.CHUNKED)
    return _by_window(keys, count)


def _by_window(keys: Keys, count: int) -> list[LayerKind]:
    """A window, unless a flag switches it off (Qwen2), for all layers after `max_window_layers`."""
    switch = keys.get("use_sliding_window")
    if not (keys.number("sliding_window") and switch is not False):
        return [_FULL] * count
    full = min(count, keys.number("max_window_layers"))
    return [_FULL] * full + [_SLIDING] * (count - full)
