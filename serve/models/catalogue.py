"""Model shapes by name or path: by name from the catalogue, by path from disk."""

import functools
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from admission.terms.spelling import UnknownNameError
from serve import shipped
from serve.models.model_file import read_model

_CATALOGUE = shipped.configs() / "models.json"

# Endings of checkpoint names that say a format, and what their quantization_config would say.
_FORMATS: tuple[tuple[str, dict[str, Any]], ...] = (
    (r"w4a16|int4|4[-_]?bit|quantized\.w4a16", {"num_bits": 4}),
    (r"w8a8|w8a16|int8|8[-_]?bit|fp8(?:[-_]?dynamic)?", {"num_bits": 8}),
    (r"nvfp4(?:a16)?|fp4", {"quant_algo": "nvfp4"}),
)
_PLACES = ("/", "./", "../", "~")  # how a path begins that can be no name
_DROPPED = re.compile(
    r"(?:quantized|awq|gptq|marlin|bnb|dynamic|autoround|auto-round|w4a16|w8a8|w8a16"
    r"|int4|int8|4bit|8bit|fp8|nvfp4|hf|g128)$"
)
_FILE_ENDINGS = (".json", ".gguf", ".safetensors", ".bin", ".pt", ".pth")
_STYLES = re.compile(r"(?:instruct|chat|it|base)(?:v?[\d.]+)?$")


@functools.cache
def _entries() -> dict[str, dict[str, Any]]:
    entries: dict[str, dict[str, Any]] = json.loads(_CATALOGUE.read_text(encoding="utf-8"))
    del entries["_about"]
    return entries


def known_models() -> list[str]:
    """Names in the catalogue."""
    return list(_entries())


def find_config(name_or_path: str) -> Mapping[str, Any]:
    """The config.json of a model: a file, a directory that holds one, or a name in the catalogue.

    A name is also found without its organisation and its quantisation ending ("-AWQ",
    "-quantized.w4a16"); such an ending gives the config a quantization_config unless it has one.
    ValueError names the nearest known model.
    """
    path = Path(name_or_path).expanduser()
    if path.exists() or path.suffix in _FILE_ENDINGS or name_or_path.startswith(_PLACES):
        return read_model(path)
    return _from_catalogue(name_or_path)


def _from_catalogue(name: str) -> Mapping[str, Any]:
    entries = _entries()
    key = name if name in entries else _closest_key(name)
    if key is None:
        remedy = "sluice plan --list models; else give its config.json, or a folder that holds one"
        raise UnknownNameError("model", name, entries, remedy=remedy)
    config = dict(entries[key])
    base = config.pop("same_as", None)
    if base:
        config = {**entries[base], **config}
    if "quantization_config" not in config:
        stated = _format_in(name)
        if stated:
            config["quantization_config"] = stated
    return config


def _format_in(name: str) -> dict[str, Any] | None:
    """What the checkpoint's name says of its format, as a quantization_config would."""
    last = name.rsplit("/", 1)[-1].lower()
    for pattern, says in _FORMATS:
        if re.search(rf"(?:^|[-_.])(?:{pattern})(?:$|[-_.])", last):
            method = {"awq": "awq", "gptq": "gptq"}.get(_method_in(last), "compressed-tensors")
            return {"quant_method": method, **says}
    if _method_in(last):
        return {"quant_method": _method_in(last), "bits": 4, "group_size": 128}
    return None


def _method_in(name: str) -> str:
    return next((m for m in ("awq", "gptq") if re.search(rf"[-_.]{m}(?:$|[-_.])", name)), "")


def _closest_key(name: str) -> str | None:
    """The entry that is the same model under another spelling; None where two or none fit."""
    for forget_style in (False, True):
        wanted = _core(name, forget_style=forget_style)
        found = {
            key: len(key) for key in _entries() if _core(key, forget_style=forget_style) == wanted
        }
        if found:
            return min(found, key=lambda key: found[key])
    return None


def _core(name: str, *, forget_style: bool) -> str:
    """The name without organisation and format, and without its style if asked."""
    core = name.rsplit("/", 1)[-1].lower().replace("_", "-")
    while True:
        shorter = _DROPPED.sub("", core).rstrip("-.")
        if forget_style:
            shorter = _STYLES.sub("", shorter).rstrip("-.")
        if shorter == core:
            return core.removeprefix("meta-")
        core = shorter
