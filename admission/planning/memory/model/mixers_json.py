"""A layer's attention in a config.json: heads, sizes, windows; MLA's latents."""

from collections.abc import Mapping
from typing import Any

from admission.planning.memory.model.keys import Keys
from admission.planning.memory.model.layer_kinds import LayerKind
from admission.planning.memory.model.model_shape import Absent, Attention, Latent, Mixer
from admission.planning.memory.model.recurrent import recurrent_mixer, short_convolution

_BIASED = ("qwen2", "qwen1")
_INDEX_SCALE_BYTES = 4  # one FP32 scale per 128 numbers of FP8 [src: deepseek_v2.py]
_INDEX_GROUP = 128
_GLOBAL_FAMILIES, _GLOBAL_HEAD_SIZE = ("gemma4", "diffusion_gemma"), 512  # Gemma4TextConfig
# `kv_lora_rank` affects only weights here: vLLM caches whole heads (not `is_deepseek_mla`).
_FULL_HEADS_FAMILIES = ("minicpm3",)


def mixer(keys: Keys, layer: int, kind: LayerKind, model_type: str) -> Mixer:
    """The mixer of one layer; ValueError if a size is missing."""
    if kind is LayerKind.RECURRENT:
        return recurrent_mixer(keys)
    if kind is LayerKind.CONVOLUTION:
        return short_convolution(keys)
    if kind in (LayerKind.DENSE, LayerKind.EXPERTS, LayerKind.ABSENT):
        return Absent()
    if keys.number("kv_lora_rank") and not model_type.startswith(_FULL_HEADS_FAMILIES):
        return _latent(keys)
    return _attention(keys, layer, kind, model_type)


def _latent(keys: Keys) -> Latent:
    index = keys.number("index_head_dim") if keys.get("index_topk") else 0
    keys.get("index_n_heads")  # only queries: the index keeps one key a token
    return Latent(
        heads=keys.need("num_attention_heads"),
        latent_size=keys.need("kv_lora_rank"),
        rope_size=keys.number("qk_rope_head_dim", default=64),
        nope_size=keys.number("qk_nope_head_dim", default=128),
        value_size=keys.number("v_head_dim", default=128),
        query_latent_size=keys.number("q_lora_rank"),
        index_bytes=index + index // _INDEX_GROUP * _INDEX_SCALE_BYTES,
    )


def _attention(keys: Keys, layer: int, kind: LayerKind, model_type: str) -> Attention:
    heads, kv_heads, head_size = _heads(keys, layer, kind, model_type)
    last_with_cache = keys.layer_count() - keys.number("num_kv_shared_layers")
    return Attention(
        heads=heads,
        kv_heads=kv_heads,
        head_size=head_size,
        value_size=_value_size(keys, kind, head_size),
        window=keys.number("sliding_window") if kind is LayerKind.SLIDING else 0,
        chunk=keys.number("attention_chunk_size") if kind is LayerKind.CHUNKED else 0,
        biased=_is_biased(keys, model_type),
        gated=keys.flag("attn_output_gate"),
        shared_kv_weights=kind is LayerKind.FULL and keys.flag("attention_k_eq_v"),
        keeps_cache=layer < last_with_cache,
    )


def _heads(keys: Keys, layer: int, kind: LayerKind, model_type: str) -> tuple[int, int, int]:
    """Heads, KV heads and head size of one layer."""
    heads = keys.at("num_attention_heads_per_layer", layer) or keys.at("num_attention_heads", layer)
    if heads < 1:
        raise ValueError("config.json: num_attention_heads is missing or not a positive number")
    size = keys.at("head_dim", layer)
    if not size and keys.number("kv_lora_rank"):  # MLA that vLLM runs as plain heads
        size = keys.number("qk_nope_head_dim") + keys.number("qk_rope_head_dim")
    size = size or keys.need("hidden_size") // heads
    kv_heads = _kv_heads(keys, layer, heads)
    own = keys.get("per_layer_config")  # as transformers writes a layer that differs
    if isinstance(own, Mapping):
        other = own.get(str(layer), own.get(layer))
        if isinstance(other, Mapping):
            size = _stated(other, "head_dim", size)
            kv_heads = _stated(other, "num_key_value_heads", kv_heads)
    elif kind is LayerKind.FULL:
        return heads, *_of_global(keys, kv_heads, size, model_type)
    if kind is LayerKind.SLIDING:
        return _of_window(keys, (heads, kv_heads, size))
    return heads, kv_heads, size


def _of_global(keys: Keys, kv_heads: int, size: int, model_type: str) -> tuple[int, int]:
    """KV heads and head size of Gemma 4's layers with full attention."""
    usual = _GLOBAL_HEAD_SIZE if model_type.startswith(_GLOBAL_FAMILIES) else size
    own = keys.number("num_global_key_value_heads")
    return own or kv_heads, keys.number("global_head_dim", default=usual) or usual


def _of_window(keys: Keys, common: tuple[int, int, int]) -> tuple[int, int, int]:
    """Heads of layers with a window if they differ from the others: MiMo V2, Inkling, Step 3.5."""
    heads, kv_heads, size = common
    other = keys.get("attention_other_setting")
    if isinstance(other, Mapping) and other.get("attention_type") == "sliding_attention":
        return (
            _stated(other, "num_attention_heads", heads),
            _stated(other, "num_attention_groups", kv_heads),
            _stated(other, "head_dim", size),
        )
    return (
        keys.number("swa_num_attention_heads") or heads,
        keys.number("swa_num_key_value_heads") or kv_heads,
        keys.number("swa_head_dim") or size,
    )


def _stated(part: Mapping[str, Any], key: str, otherwise: int) -> int:
    value = part.get(key)
    return value if isinstance(value, int) else otherwise


def _kv_heads(keys: Keys, layer: int, heads: int) -> int:
    """KV heads: one if a flag says multi-query, else the stated number, else as many as heads.

    Falcon's new architecture ignores the flag; ChatGLM states a number of groups with it.
    """
    stated = (
        keys.part("attn_config").number("num_key_value_heads")
        or keys.at("num_key_value_heads", layer)
        or (keys.number("multi_query_group_num") if keys.flag("multi_query_attention") else 0)
    )
    flagged = keys.flag("multi_query") and not keys.flag("new_decoder_architecture")
    if flagged or keys.part("attn_config").get("attn_type") == "multiquery_attention":
        return 1
    return stated or heads


def _value_size(keys: Keys, kind: LayerKind, head_size: int) -> int:
    """Size of a value if it differs from the key's (MiMo V2), else 0."""
    if keys.number("kv_lora_rank"):
        return 0
    own = keys.number("swa_v_head_dim") if kind is LayerKind.SLIDING else 0
    size = own or keys.number("v_head_dim")
    return 0 if size == head_size else size


def _is_biased(keys: Keys, model_type: str) -> bool:
    stated = keys.get("attention_bias")
    return bool(model_type.startswith(_BIASED) if stated is None else stated)
