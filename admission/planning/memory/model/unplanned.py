"""Families with a kind of cache or weights for which the memory model has no formula."""

from collections.abc import Mapping
from typing import Any

from admission.planning.memory.model.language_part import LanguagePart

_COMPRESSED = "compressed latents beside windows and states"
_BOTH = "attention and a state in one layer"
_STATES = "states and rings of its own kind beside attention"
_FAMILIES = {
    "deepseek_v4": _COMPRESSED,
    "deepseek_v41": _COMPRESSED,
    "hy_v4": "several kinds of compressed cache",
    "falcon_h1": _BOTH,
    "zamba": _BOTH,
    "zamba2": _BOTH,
    "kimi_k3": _STATES,
    "kimi_k3_text": _STATES,
    "glm5_next": _STATES,
    "glm5_next_text": _STATES,
    "qwen4_exp": _STATES,
    "qwen4_exp_text": _STATES,
    "inkling": _STATES,
    "inkling_text": _STATES,
    "inkling_mm_model": _STATES,
    "inkling_model": _STATES,
    "longcat_flash": "two attentions in each layer",
    "recurrent_gemma": _STATES,
    "minimax": "lightning attention with states",
    "minimax_text_01": "lightning attention with states",
    "minimax_m1": "lightning attention with states",
    "bailing_hybrid": "linear attention with states of its own kind",
    "mamba": "states alone, no attention",
    "mamba2": "states alone, no attention",
    "falcon_mamba": "states alone, no attention",
    "rwkv": "states alone, no attention",
}


def refuse_family(config: Mapping[str, Any], part: LanguagePart) -> None:
    """Raises a ValueError that names the family and the part without a formula."""
    named = str(config.get("model_type") or "").lower()
    for name in (part.model_type, named):
        if name in _FAMILIES:
            raise ValueError(f"models of the family {name} are not planned: {_FAMILIES[name]}")
    if config.get("is_encoder_decoder") or any(
        key in config for key in ("encoder_layers", "decoder_layers", "num_decoder_layers")
    ):
        name = named or "this"
        raise ValueError(
            f"models of the family {name} are not planned: an encoder beside the decoder"
        )
    if "model_index" in config or "_diffusers_version" in config or "_class_name" in config:
        raise ValueError("config.json describes a diffusion pipeline, not a language model")
