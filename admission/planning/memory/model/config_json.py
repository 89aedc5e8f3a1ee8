"""Reads a model's config.json, given as a mapping, into a `ModelShape`.

The keys are Hugging Face's, in the spelling of any family (`names.py`). A missing key takes the
family's default (`families.py`). If a required key is missing, the ValueError names it. The shape's
notes name the keys that nothing here reads.
"""

from collections.abc import Mapping
from typing import Any

from admission.planning.memory.model.blocks_json import with_blocks
from admission.planning.memory.model.checkpoint_format import kv_cache_dtype, quantization_config
from admission.planning.memory.model.context_length import context_length
from admission.planning.memory.model.keys import Keys
from admission.planning.memory.model.language_part import LanguagePart, language_part
from admission.planning.memory.model.layer_kinds import layer_kinds
from admission.planning.memory.model.mixers_json import mixer
from admission.planning.memory.model.mlps_json import mlp
from admission.planning.memory.model.model_shape import Layer, ModelShape
from admission.planning.memory.model.unplanned import refuse_family
from admission.planning.memory.model.vision import vision_parameters
from admission.planning.sentences import Sentence

Config = Mapping[str, Any]


def read_shape(config: Config) -> ModelShape:
    """The shape of the language model in `config`, which may be a nested part of it.

    ValueError for a missing key, a value of the wrong type, or a family that is not supported.
    """
    part = language_part(config)
    refuse_family(config, part)
    keys = Keys(part.keys, part.family)
    named = f" (model_type {part.model_type})" if part.model_type else ""
    try:
        return _shape(config, part, keys)
    except (TypeError, AttributeError, OverflowError, ZeroDivisionError, LookupError) as problem:
        # a value of a type that no family writes: Python's message is all that can be said
        raise ValueError(f"config.json is not understood: {problem!r}{named}") from problem
    except ValueError as problem:
        raise ValueError(f"{problem}{named}") from problem


def overridden(config: Config, overrides: Config) -> Config:
    """The config with vLLM's hf_overrides applied; nested parts are merged key by key."""
    merged = dict(config)
    for key, value in overrides.items():
        below = merged.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            merged[key] = overridden(below, value)
        else:
            merged[key] = value
    return merged


def _shape(config: Config, part: LanguagePart, keys: Keys) -> ModelShape:
    hidden, vocabulary, family = keys.need("hidden_size"), keys.need("vocab_size"), part.model_type
    layers = _layers(part, keys)
    quantization = quantization_config(config, part.keys)
    context = context_length(keys, family)
    tied = keys.get("tie_word_embeddings")
    keys.get("torch_dtype")
    return ModelShape(
        layers=layers,
        hidden=hidden,
        vocabulary=vocabulary,
        tied_embeddings=bool(family.startswith("gemma") if tied is None else tied),
        max_position_tokens=context.longest,
        usual_position_tokens=context.usual,
        stretched_position_tokens=context.stretched,
        architecture=str((config.get("architectures") or [""])[0]),
        vision_parameters=vision_parameters(config, hidden),
        vision_is_replicated=family.startswith(("mistral", "pixtral")),
        quantization_config=quantization,
        kv_cache_dtype=kv_cache_dtype(quantization),
        table_numbers=len(layers)
        * keys.number("vocab_size_per_layer_input")
        * keys.number("hidden_size_per_layer_input"),
        notes=_notes(keys),
    )


def _layers(part: LanguagePart, keys: Keys) -> tuple[Layer, ...]:
    count, family = keys.layer_count(), part.model_type
    kinds = layer_kinds(keys, count, family, part.family.layers)
    layers = tuple(
        Layer(mixer(keys, i, kind, family), mlp(keys, i, kind, family))
        for i, kind in enumerate(kinds)
    )
    return with_blocks(layers, keys)


# Keys that other keys make irrelevant: dense widths if all layers have experts, heads of a latent,
# rules for windows if a list names each layer's kind.
_SETTLED = (
    "attention_chunk_size",
    "attn_layer_offset",
    "attn_layer_period",
    "decoder_sparse_step",
    "full_attention_interval",
    "full_attn_idxs",
    "head_dim",
    "hybrid_layer_pattern",
    "intermediate_size",
    "intermediate_size_mlp",
    "max_window_layers",
    "mlp_matrices",
    "mlp_only_layers",
    "num_attention_heads",
    "num_experts_per_tok",
    "num_key_value_heads",
    "sliding_window",
    "sliding_window_pattern",
    "use_sliding_window",
    "v_head_dim",
)


def _notes(keys: Keys) -> tuple[str, ...]:
    """One sentence that names the keys that were not understood; () = none."""
    keys.understood(*_SETTLED)
    keys.part("ffn_config").understood("hidden_size")
    strange = [*keys.unread(), *keys.conflicts]
    return (Sentence("not_understood", keys=", ".join(strange)),) if strange else ()
