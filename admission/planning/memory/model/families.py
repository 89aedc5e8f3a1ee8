"""Defaults and key names that a family's configuration class adds to an incomplete config.json.

`tests.admission.planning.family_table` generates `families.json` from transformers' and vLLM's
classes; a test regenerates it and compares. Each entry has:

    defaults  our names (`names.py`) -> value
    names     another spelling -> our name, if only this family uses it
    text      [key, model_type] of the language model's own part
    layers    kinds of the first layers, which repeat
"""

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any


@dataclass(frozen=True, slots=True)
class Family:
    """One entry of the table; empty for a family without a public class."""

    defaults: Mapping[str, Any] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    text: tuple[str, str] | None = None
    layers: tuple[str, ...] = ()


def family(model_type: str) -> Family:
    """The entry of a model_type; an empty one if the table has none."""
    entry = _table().get(model_type)
    if entry is None:
        return Family()
    text = entry.get("text")
    return Family(
        defaults=entry.get("defaults", {}),
        names=entry.get("names", {}),
        text=(text[0], text[1]) if text else None,
        layers=tuple(entry.get("layers", ())),
    )


@functools.cache
def _table() -> dict[str, dict[str, Any]]:
    file = resources.files("admission.planning.memory.model") / "families.json"
    table: dict[str, dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))
    return table
