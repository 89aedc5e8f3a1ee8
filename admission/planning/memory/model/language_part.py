"""The part of a config.json that describes the language model; some families nest it, even twice.

The search follows vLLM: `get_text_config` of the family's class, its other name `llm_config`, and
the thinker of the Omni models.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from admission.planning.memory.model.families import Family, family
from admission.planning.memory.model.names import spellings

Config = Mapping[str, Any]

_PARTS = (
    "text_config",
    "llm_config",
    "language_config",
    "language_model_config",
    "thinker_config",
    "text_model_config",
    "lm_config",
    "decoder",
)
_FROM_ABOVE = ("tie_word_embeddings", "quantization_config", "torch_dtype", "dtype")
_DEEPEST = 3


@dataclass(frozen=True, slots=True)
class LanguagePart:
    """Keys of the language model, its family, and its model_type in lower case."""

    keys: Config
    family: Family
    model_type: str


def language_part(config: Config) -> LanguagePart:
    """The language part; `config` itself if nothing is nested. It inherits `_FROM_ABOVE`."""
    keys, model_type = _nested(config, _model_type(config), 0)
    known = family(model_type)
    if known.text and not _has_own_part(keys, known.text[0]):
        model_type = known.text[1]  # its keys are at the top level, not in a nested part
        known = family(model_type)
    above = {key: config[key] for key in _FROM_ABOVE if key in config and key not in keys}
    named = model_type or str((config.get("architectures") or [""])[0])
    return LanguagePart({**above, **keys}, known, named.lower())


def _nested(config: Config, model_type: str, depth: int) -> tuple[Config, str]:
    """The innermost language part; a part that states its number of layers goes first."""
    known = family(model_type)
    first = (known.text[0],) if known.text else ()
    parts = {key: config[key] for key in (*first, *_PARTS) if isinstance(config.get(key), Mapping)}
    stating = {key: part for key, part in parts.items() if _states_layers(part)}
    if depth == _DEEPEST or not parts or (_states_layers(config) and not stating):
        return config, model_type
    key, part = next(iter((stating or parts).items()))
    implied = known.text[1] if known.text and known.text[0] == key else ""
    return _nested(part, _model_type(part) or implied, depth + 1)


def _has_own_part(config: Config, key: str) -> bool:
    return isinstance(config.get(key), Mapping)


def _states_layers(config: Config) -> bool:
    """Whether the part itself states its number of layers."""
    return any(key in config for key in spellings("num_hidden_layers"))


def _model_type(config: Config) -> str:
    return str(config.get("model_type") or "")
