"""The longest sequence that a model supports, derived from its config.json as vLLM does.

It is the smallest stated length, times the factor of a rotary scaling that extends it.
Source: `_get_and_verify_max_len`; YaRN by release: vLLM's pull request 56446, first in 0.30.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from admission.planning.memory.model.keys import Keys
from admission.planning.memory.model.names import LENGTHS

_UNSTATED = 2048  # vLLM's assumption if no key states a length
_ABSURD = 1 << 40  # tokenizers' 1e30 for "no limit"
_IN_THE_LENGTH_ALREADY = (
    "longrope",
    "llama3",
    "yarn",
    "deepseek_yarn",
    "deepseek_llama_scaling",
)
_OTHER_NAMES = {"su": "longrope", "mrope": "default", "telechat3-yarn": "yarn"}


@dataclass(frozen=True, slots=True)
class ContextLength:
    """Tokens: the most that vLLM allows, its default, and the most under YaRN before 0.30."""

    longest: int
    usual: int
    stretched: int = 0


def context_length(keys: Keys, model_type: str) -> ContextLength:
    """The lengths that vLLM derives from `keys`."""
    found = [value for name in LENGTHS if (value := _length(keys, name))]
    longest = _length(keys, "model_max_length") or min(found, default=_UNSTATED)
    scalings = list(_scalings(keys))
    own = keys.get("original_max_position_embeddings")
    factor, stretched = 1.0, 0
    for scaling in scalings:
        kind = _kind(scaling)
        if kind not in _IN_THE_LENGTH_ALREADY:
            factor = _positive(scaling.get("factor")) or factor
        original = _positive(scaling.get("original_max_position_embeddings"))
        if kind == "yarn" and original:
            stretched = int(original * (_positive(scaling.get("factor")) or 1.0))
    if "gemma3" not in model_type:  # its length is the scaled one
        longest = int(longest * factor)
    long_rope = any(_kind(scaling) == "longrope" for scaling in scalings)
    usual = int(own) if long_rope and isinstance(own, int) and own > 0 else longest
    return ContextLength(longest, usual, stretched)


def _length(keys: Keys, name: str) -> int:
    value = keys.get(name)
    stated = isinstance(value, int | float) and not isinstance(value, bool)
    return int(value) if stated and 0 < value < _ABSURD else 0


def _scalings(keys: Keys) -> Iterator[Mapping[str, Any]]:
    """`rope_parameters`, or `rope_scaling` in older files; one for each kind of layer."""
    older = keys.get("rope_scaling")
    stated = keys.get("rope_parameters") or older
    if not isinstance(stated, Mapping):
        return
    nested = [value for value in stated.values() if isinstance(value, Mapping)]
    yield from nested or [stated]


def _kind(scaling: Mapping[str, Any]) -> str:
    kind = str(scaling.get("rope_type") or scaling.get("type") or "default")
    return _OTHER_NAMES.get(kind, kind)


def _positive(value: Any) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if number and 0 < value < _ABSURD else 0.0
