"""Parses engine arguments as vLLM's own command line does.

Lengths and sizes take a suffix ("32k" = 32,000, "32K" = 32,768); max_model_len also takes `auto`
and -1. Other numbers are plain. Source: vLLM's `argparse_utils.human_readable_int`, `arg_utils`.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from admission.planning.memory.engine.arguments import AUTO_LENGTH, ENGINE_KEYS, EngineArguments
from admission.planning.memory.engine.not_counted import not_counted

_SUFFIXED = re.compile(r"(\d+(?:\.\d+)?)([kKmMgGtT])")
_DECIMAL = {"k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_BINARY = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def size(text: str) -> int:
    """A whole number, with a decimal suffix (k, m, g, t) or a binary one (K, M, G, T).

    ValueError for anything else; only decimal suffixes allow fractions.
    """
    match = _SUFFIXED.fullmatch(text.strip())
    if match is None:
        return int(text.strip())
    number, suffix = match.groups()
    if suffix in _DECIMAL:
        return int(float(number) * _DECIMAL[suffix])
    if "." in number:
        raise ValueError(f"{text}: no fractions before {suffix}; {number}{suffix.lower()}?")
    return int(number) * _BINARY[suffix]


def length(text: str) -> int:
    """A size; `auto` and -1 mean the longest that the model supports and the memory holds."""
    return AUTO_LENGTH if text.strip().lower() in ("auto", "-1") else size(text)


def _text(value: str) -> str:
    return value


_WHOLE = {
    **dict.fromkeys(("tensor_parallel_size", "pipeline_parallel_size", "max_num_seqs"), int),
    **dict.fromkeys(("block_size", "weight_bits", "decode_context_parallel_size"), int),
    **dict.fromkeys(("num_speculative_tokens", "draft_layers"), int),
}
_READERS: dict[str, Callable[[str], Any]] = {
    **_WHOLE,
    "max_model_len": length,
    "max_num_batched_tokens": size,
    "kv_cache_memory_bytes": size,
    "gpu_memory_utilization": float,
    **dict.fromkeys(("model", "quantization", "dtype", "kv_cache_dtype", "vllm_version"), _text),
}
_FLAGS = ("enforce_eager", "enable_prefix_caching")
_KINDS = {_text: "a text", float: "a number"}


def read_value(name: str, value: object) -> Any:
    """One argument's value; None = not given. ValueError for what vLLM would not accept."""
    if value is None:
        return None
    if name in _FLAGS:
        if not isinstance(value, bool):
            raise ValueError(f"{name}: {value!r} is neither true nor false")
        return value
    reader = _READERS.get(name)
    if reader is None:
        return value
    if isinstance(value, bool) or (reader is _text and not isinstance(value, str)):
        raise ValueError(f"{name}: {value!r} is not {_KINDS.get(reader, 'a number')}")
    if reader is not float and isinstance(value, str) and value.strip() in ("", "None"):
        return None
    try:
        return reader(str(value))
    except ValueError as problem:
        raise ValueError(f"{name}: {value!r} is not {_KINDS.get(reader, 'a number')}") from problem


def read_arguments(engine_args: Mapping[str, Any]) -> dict[str, Any]:
    """The given arguments by name; arguments that memory does not depend on are unchanged."""
    read = {str(name): read_value(str(name), value) for name, value in engine_args.items()}
    return {name: value for name, value in read.items() if value is not None}


def engine_arguments(engine_args: Mapping[str, Any], **others: Any) -> EngineArguments:
    """The arguments that memory depends on, with the effects that no formula counts."""
    read = read_arguments({**engine_args, **others})
    known = {name: value for name, value in read.items() if name in ENGINE_KEYS}
    return EngineArguments(**{**known, "not_counted": not_counted(read)})
