"""A config.json's keys under one name each, with the family's defaults; tracks which were read."""

import re
from collections.abc import Mapping
from typing import Any

from admission.planning.memory.model.families import Family
from admission.planning.memory.model.names import LENGTHS, spellings

_LARGEST = 1 << 40  # no size of a model is larger; a larger number is a typing error
_MOST_LAYERS = 10_000

# Words that mark a key as one that describes experts, attention or the cache.
_SHAPE = re.compile(
    r"expert|moe|heads?(?:_|$)|kv|attn|attention|window|cache|latent|lora_rank|mamba|ssm|state"
    r"|conv|layer|block|mlp|ffn|hidden|inter|chunk|compress|sparse|index|group|stride"
)
# Keys among those that affect neither memory nor the cache: they describe how something is
# computed, trained, drafted or stored.
_HARMLESS = re.compile(
    r"eps|epsilon|norm|dropout|drop$|pdrop|act$|activation|_std|init|scal|coef|loss|bias|softmax"
    r"|softcap|token_id|rope|rotary|multiplier|theta|router|routed_scaling|score|topk_method"
    r"|^n_group$|topk_group|num_limited_groups|jitter|sinks?$|^use_cache$|use_flash|flash_attn"
    r"|attn_impl|implementation|^output_|return_dict|checkpoint|pretrain|mtp|nextn|draft|eagle"
    r"|temperature|scatter|parallel|act_fn|no_rope|^tie_|residual|interleave|ntk|logn|alibi|dtype"
    r"|_type_ids?$|_labels?$|aux|capacity|gate$|gating|expert_selection_fn|pad_|_pad|fp32|fp8"
    r"|^model_type$|vision|image|video|audio|mm_|visual|projector|version|query_pre_attn"
    r"|^max_batch|chunk_size_feed_forward|cross_attention_hidden_size|add_cross_attention"
    r"|z_loss|pruned_heads|^qk_layernorm|qk_head_dim|chunk_size$|attention_mode|mask|kernels?_fn"
    r"|mamba_kernels|use_mambapy|mem_eff|time_step|_limit$|rank_stabil|weight_groups|head_mode"
    r"|pretraining_tp|zero_expert|overlap|strategy|bidirectional|summary|label_smoothing|^task|"
    r"embd_layer|embedding_layer|first_attn|deterministic|_multiple_of$"
)


class Keys:
    """One part of a config.json. `get` takes the names of `names.py`; KeyError for any other."""

    def __init__(self, said: Mapping[str, Any], family: Family) -> None:
        """`said` is the file's mapping, with the family's own key names added under our names."""
        self._said = said
        self._family = family
        self._read: set[str] = set()
        self._parts: dict[str, Keys] = {}
        self.conflicts: list[str] = []

    def get(self, name: str) -> Any:
        """The file's value under any spelling, else the family's default; None = neither."""
        ours = [other for other, meant in self._family.names.items() if meant == name]
        stated = {key: self._said[key] for key in (*spellings(name), *ours) if key in self._said}
        self._read |= stated.keys()
        values = {key: value for key, value in stated.items() if value is not None}
        if len({repr(value) for value in values.values()}) > 1 and name not in LENGTHS:
            self._conflict(values)
        if values:
            return next(iter(values.values()))
        return None if stated else self._family.defaults.get(name)

    def said(self, name: str) -> bool:
        """Whether the file itself has a value for the key, under any spelling."""
        return any(self._said.get(key) is not None for key in spellings(name))

    def number(self, name: str, *, default: int = 0) -> int:
        """A whole number; `default` if the key is missing. ValueError for anything else."""
        return _whole(name, self.get(name), default)

    def need(self, name: str) -> int:
        """A positive number; ValueError if it is missing."""
        found = self.number(name)
        if found < 1:
            raise ValueError(f"config.json: {name} is missing or not a positive number")
        return found

    def at(self, name: str, layer: int, *, default: int = 0) -> int:
        """A layer's number, from a list with one entry per layer or from one value for all."""
        value = self.get(name)
        if isinstance(value, list):
            if len(value) == 1:
                return _whole(name, value[0], default)
            if layer >= len(value):
                raise ValueError(
                    f"config.json: {name} has {len(value)} entries, layer {layer + 1} has none"
                )
            return _whole(name, value[layer], default)
        return _whole(name, value, default)

    def flag(self, name: str) -> bool:
        """Whether the key has a true value."""
        return bool(self.get(name))

    def part(self, name: str) -> "Keys":
        """A nested part, e.g. MPT's `attn_config`; empty if there is none."""
        if name not in self._parts:
            value, default = self.get(name), self._family.defaults.get(name)
            self._parts[name] = Keys(
                value if isinstance(value, Mapping) else {},
                Family(defaults=default if isinstance(default, Mapping) else {}),
            )
        return self._parts[name]

    def layer_count(self) -> int:
        """num_hidden_layers; ValueError if it is missing or implausibly large."""
        listed = self.get("layer_types")  # Nemotron-H states the number nowhere else
        count = self.number("num_hidden_layers") or (
            len(listed) if isinstance(listed, list | str) else self.need("num_hidden_layers")
        )
        if count > _MOST_LAYERS:
            raise ValueError(f"config.json: num_hidden_layers {count} is more than any model has")
        return count

    def understood(self, *names: str) -> None:
        """Marks these as read: other keys of this model determine what they state."""
        for name in names:
            self.get(name)

    def unread(self) -> list[str]:
        """Keys about experts, attention or the cache that have a value and were not read."""
        nested = [f"{name}.{key}" for name, part in self._parts.items() for key in part.unread()]
        return nested + sorted(
            key
            for key, value in self._said.items()
            if key not in self._read
            and not key.startswith("_")
            and value  # null, false, 0 and an empty list mean that the model has none
            and _SHAPE.search(key.lower())
            and not _HARMLESS.search(key.lower())
        )

    def _conflict(self, values: Mapping[str, Any]) -> None:
        (first, taken), *others = values.items()
        for other, value in others:
            if repr(value) != repr(taken):
                conflict = f"{other} (differs from {first}, which is taken)"
                if conflict not in self.conflicts:
                    self.conflicts.append(conflict)


def _whole(name: str, value: Any, default: int) -> int:
    if value is None:
        return default
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not abs(value) < _LARGEST or value != int(value) or value < 0:
        raise ValueError(f"config.json: {name} {_shown(value)} is not a whole number from 0 on")
    return int(value)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."  # noqa: PLR2004 -- a line's worth
