"""Makes `admission/planning/memory/model/families.json` from the installed transformers and vLLM.

python -m tests.admission.planning.family_table > admission/planning/memory/model/families.json
"""

import dataclasses
import json
import sys
from collections.abc import Iterator
from typing import Any

from admission.planning.memory.model.names import NAMES, SPELLINGS

_CANONICAL = {other: name for name, others in SPELLINGS.items() for other in others}
_PROBES = (None, 12, 25, 36)  # layers: a kind that repeats does so for all of them
_LONGEST_PERIOD = 12


def table() -> dict[str, dict[str, Any]]:
    """model_type -> entry as `memory.families` reads it, of language models alone."""
    found = {model_type: _entry(model_type, made) for model_type, made in _classes()}
    return {name: entry for name, entry in sorted(found.items()) if entry}


def _classes() -> Iterator[tuple[str, type[Any]]]:
    from transformers import CONFIG_MAPPING  # noqa: PLC0415 -- takes seconds
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES  # noqa: PLC0415
    from vllm.transformers_utils.config import _CONFIG_REGISTRY  # noqa: PLC0415

    for model_type in CONFIG_MAPPING_NAMES:
        yield model_type, CONFIG_MAPPING[model_type]
    for model_type in _CONFIG_REGISTRY:
        yield model_type, _CONFIG_REGISTRY[model_type]  # vLLM's own class goes before


def _entry(model_type: str, made: type[Any]) -> dict[str, Any]:
    if not dataclasses.is_dataclass(made):
        return {}
    text = _text(model_type, made)
    if text:
        return {"text": text}
    names = _names(made)
    defaults: dict[str, Any] = {}
    for key, value in _stated(made):
        name = names.get(key) or _CANONICAL.get(key, key)
        if name in NAMES:
            defaults.setdefault(name, value)
    if not {"hidden_size", "vocab_size"} <= defaults.keys():
        return {}
    layers = _layers(made)
    several = layers if len(set(layers)) > 1 else []
    parts = {"defaults": defaults, "names": names, "layers": several}
    return {part: found for part, found in parts.items() if found}


def _names(made: type[Any]) -> dict[str, str]:
    """Spellings that this class alone maps to a name of ours."""
    pairs = made.attribute_map.items()
    return {
        other: name
        for name, other in pairs
        if name in NAMES and other not in NAMES and other not in _CANONICAL
    }


def _stated(made: type[Any]) -> Iterator[tuple[str, Any]]:
    """Fields with their plain defaults; nested parts with a class of their own, as mappings."""
    for field in dataclasses.fields(made):
        if field.name in made.sub_configs and field.name in NAMES:
            part = made.sub_configs[field.name]
            yield (
                field.name,
                {
                    x.name: x.default
                    for x in dataclasses.fields(part)
                    if _is_plain(x.default)
                    and x.name.endswith(("heads", "size", "experts", "top_k"))
                },
            )
        elif _is_plain(field.default):
            yield field.name, field.default


def _is_plain(value: object) -> bool:
    return isinstance(value, bool | int | float | str) and value is not dataclasses.MISSING


def _text(model_type: str, made: type[Any]) -> list[str] | None:
    """The key of the language part, and the model_type that it has where it says none."""
    for key in ("text_config", "llm_config", "language_config", "thinker_config"):
        if key in made.sub_configs:
            try:
                part = getattr(made(), key, None)
            except Exception as problem:  # noqa: BLE001 -- a class that cannot stand alone
                sys.stderr.write(f"{model_type}: {type(problem).__name__}\n")
                return None
            inner = getattr(part, "model_type", "")
            return [key, inner] if inner else None
    return None


def _layers(made: type[Any]) -> list[str]:
    """The shortest sequence of kinds that repeats, whatever the number of layers; else empty."""
    kinds = []
    for count in _PROBES:
        try:
            config = made() if count is None else made(num_hidden_layers=count)
        except Exception:  # noqa: BLE001 -- some classes check lengths against each other
            return []
        kinds.append(list(getattr(config, "layer_types", None) or []))
    for period in range(1, _LONGEST_PERIOD + 1):
        first = kinds[-1][:period]
        if first and all(k == [first[i % period] for i in range(len(k))] and k for k in kinds):
            return first
    return []


def text_of(entries: dict[str, dict[str, Any]]) -> str:
    """One line for each entry, so that a change shows as a line."""
    lines = [f"{json.dumps(k)}: {json.dumps(v, sort_keys=True)}" for k, v in entries.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    sys.stdout.write(text_of(table()))
