"""A model's config.json, as a mapping, read into its shape.

The keys are Hugging Face's. What is missing has the model family's default; a key that no shape
can do without is named in the ValueError.
"""

from collections.abc import Mapping
from typing import Any

from admission.memory.model_shape import (
    Attention,
    Dense,
    Experts,
    Latent,
    Layer,
    Mixer,
    Mlp,
    ModelShape,
)
from admission.memory.recurrent import recurrent_mixer
from admission.memory.vision import vision_parameters

Config = Mapping[str, Any]

_BIASED = ("qwen2", "qwen1", "qwen2_moe", "qwen2_vl", "qwen2_5_vl")
_PLAIN_MATRICES, _GATED_MATRICES = 2, 3
_FULL, _SLIDING, _CHUNKED, _RECURRENT = "full", "sliding", "chunked", "recurrent"
_KINDS = {
    "full_attention": _FULL,
    "attention": _FULL,
    "sliding_attention": _SLIDING,
    "chunked_attention": _CHUNKED,
    "linear_attention": _RECURRENT,
    "mamba": _RECURRENT,
}


def read_shape(config: Config) -> ModelShape:
    """The shape of the language model in `config` (or in its `text_config`)."""
    text = _text(config)
    count = _need(text, "num_hidden_layers")
    kinds = layer_kinds(text, count)
    layers = tuple(Layer(_mixer(text, kind), _mlp(text, i)) for i, kind in enumerate(kinds))
    quantization = config.get("quantization_config") or text.get("quantization_config")
    tied = text.get("tie_word_embeddings", config.get("tie_word_embeddings"))
    return ModelShape(
        layers=layers,
        hidden=_need(text, "hidden_size"),
        vocabulary=_need(text, "vocab_size"),
        tied_embeddings=bool(_family(text).startswith("gemma") if tied is None else tied),
        max_position_tokens=int(text.get("max_position_embeddings") or 0),
        architecture=str((config.get("architectures") or [""])[0]),
        vision_parameters=vision_parameters(config),
        vision_is_replicated=_family(text).startswith(("mistral", "pixtral")),
        quantization_config=quantization if isinstance(quantization, Mapping) else None,
    )


def _text(config: Config) -> Config:
    """The part that describes the language model: some families nest it."""
    for key in ("text_config", "llm_config", "language_config"):
        nested = config.get(key)
        if isinstance(nested, Mapping) and "num_hidden_layers" in nested:
            return nested
    return config


def _need(config: Config, key: str) -> int:
    value = config.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"config.json: {key} is missing or not a positive number")
    return value


def _family(config: Config) -> str:
    """model_type, or what the architecture's name begins with."""
    stated = config.get("model_type") or (config.get("architectures") or [""])[0]
    return str(stated).lower()


def layer_kinds(config: Config, count: int) -> list[str]:
    """Each layer's kind, first to last.

    `layer_types` says it outright; else the family's key says which layers see everything: each
    n-th of `sliding_window_pattern`, `full_attention_interval` and Llama-4's chunks; for Kimi's
    linear attention a list.
    """
    stated = config.get("layer_types") or config.get("layers_block_type")
    if isinstance(stated, list) and len(stated) == count:
        return [_kind(str(name)) for name in stated]
    for key, others in (
        ("full_attention_interval", _RECURRENT),
        ("sliding_window_pattern", _SLIDING),
        ("chunked_attention_pattern", _CHUNKED),
    ):
        every = config.get(key)
        if isinstance(every, int) and every > 1:
            return [_FULL if (i + 1) % every == 0 else others for i in range(count)]
    linear = config.get("linear_attn_config")
    if isinstance(linear, Mapping) and linear.get("full_attn_layers"):
        full = set(linear["full_attn_layers"])  # counted from 1
        return [_FULL if i + 1 in full else _RECURRENT for i in range(count)]
    return _kinds_of_family(config, count)


def _kind(name: str) -> str:
    if name not in _KINDS:
        raise ValueError(
            f"config.json: unknown layer type {name!r}; known: {', '.join(sorted(_KINDS))}"
        )
    return _KINDS[name]


def _kinds_of_family(config: Config, count: int) -> list[str]:
    """Families that say nothing per layer: Gemma 2 alternates, Gemma 3 is 5:1, Llama 4 is 3:1."""
    family = _family(config)
    every = {"gemma2": 2, "gemma3": 6, "gemma4": 6, "gpt_oss": 2, "gptoss": 2}
    for name, n in every.items():
        if family.startswith(name):
            return [_FULL if (i + 1) % n == 0 else _SLIDING for i in range(count)]
    if config.get("attention_chunk_size"):
        return [_FULL if (i + 1) % 4 == 0 else _CHUNKED for i in range(count)]
    # Qwen2 writes a window and switches it off; where nothing switches it, it holds for all layers.
    windowed = config.get("sliding_window") and config.get("use_sliding_window", True)
    if windowed and config.get("max_window_layers"):
        full = min(count, int(config["max_window_layers"]))
        return [_FULL] * full + [_SLIDING] * (count - full)
    return [_SLIDING if windowed else _FULL] * count


def _mixer(config: Config, kind: str) -> Mixer:
    if kind == _RECURRENT:
        return recurrent_mixer(config)
    if config.get("kv_lora_rank"):
        return Latent(
            heads=_need(config, "num_attention_heads"),
            latent_size=_need(config, "kv_lora_rank"),
            rope_size=int(config.get("qk_rope_head_dim") or 64),
            nope_size=int(config.get("qk_nope_head_dim") or 128),
            value_size=int(config.get("v_head_dim") or 128),
            query_latent_size=int(config.get("q_lora_rank") or 0),
        )
    return _attention(config, kind)


def _attention(config: Config, kind: str) -> Attention:
    heads = _need(config, "num_attention_heads")
    kv_heads = int(config.get("num_key_value_heads") or heads)
    head_size = int(config.get("head_dim") or _need(config, "hidden_size") // heads)
    if kind == _FULL:  # Gemma 4: layers that see everything have heads of their own
        head_size = int(config.get("global_head_dim") or head_size)
        kv_heads = int(config.get("num_global_key_value_heads") or kv_heads)
    return Attention(
        heads=heads,
        kv_heads=kv_heads,
        head_size=head_size,
        window=int(config.get("sliding_window") or 0) if kind == _SLIDING else 0,
        chunk=int(config.get("attention_chunk_size") or 0) if kind == _CHUNKED else 0,
        biased=_is_biased(config),
        gated=bool(config.get("attn_output_gate")),
        shared_kv_weights=kind == _FULL and bool(config.get("attention_k_eq_v")),
    )


def _is_biased(config: Config) -> bool:
    stated = config.get("attention_bias", config.get("qkv_bias"))
    family = _family(config)
    return bool(family.startswith(_BIASED) if stated is None else stated)


def _mlp(config: Config, index: int) -> Mlp:
    """Layer `index`'s feed-forward part: experts, or one of the dense layers between or before."""
    count = _first(config, "num_experts", "n_routed_experts", "num_local_experts")
    if not count or not _has_experts(config, index):
        size = config.get("intermediate_size_mlp") or config.get("intermediate_size")
        if not size:
            size = 4 * _need(config, "hidden_size")
        plain = _family(config).startswith(("phi-", "phi2", "gpt_neox", "opt", "falcon"))
        plain = plain or config.get("mlp_matrices") == _PLAIN_MATRICES
        return Dense(int(size), _PLAIN_MATRICES if plain else _GATED_MATRICES)
    inner = config.get("moe_intermediate_size") or _need(config, "intermediate_size")
    per_token = _first(config, "num_experts_per_tok", "experts_per_token", "top_k_experts") or 2
    return Experts(count, per_token, int(inner), _shared_intermediate(config, int(inner)))


def _first(config: Config, *keys: str) -> int:
    """The first of `keys` that has a number, else 0."""
    return next((int(config[key]) for key in keys if config.get(key)), 0)


def _has_experts(config: Config, index: int) -> bool:
    """DeepSeek: dense layers first; Qwen: each n-th layer; Llama 4: each n-th layer."""
    if index < int(config.get("first_k_dense_replace") or 0):
        return False
    step = _first(config, "decoder_sparse_step", "interleave_moe_layer_step") or 1
    return (index + 1) % step == 0


def _shared_intermediate(config: Config, inner: int) -> int:
    """Width of the experts that every token passes."""
    stated = _first(config, "shared_expert_intermediate_size", "shared_intermediate_size")
    if stated:
        return stated
    if _family(config).startswith("llama4"):
        return inner
    if _family(config).startswith("gemma4"):  # a dense part runs beside the experts
        return int(config.get("intermediate_size") or 0)
    return int(config.get("n_shared_experts") or 0) * inner
