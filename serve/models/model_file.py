"""A model's config.json from disk, in the encodings that people's files have."""

import codecs
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_LARGEST_BYTES = 32 << 20  # a config.json has some kB; what is larger is something else
_SNIFFED_BYTES = 64
_GIVE = "give the model's config.json, or the folder with it"
# Longest first: UTF-32's mark begins with UTF-16's.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_OTHER_FILES = (
    (b"PK\x03\x04", "a zip archive, as PyTorch writes weights"),
    (b"\x80\x02", "a pickle, as PyTorch writes weights"),
    (b"\x80\x04", "a pickle, as PyTorch writes weights"),
    (b"\x1f\x8b", "packed with gzip"),
    (b"\x89HDF", "an HDF5 file"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself (git lfs pull)"),
    (b"<", "a web page or XML, not the file behind it"),
)
_GGUF = (
    "a GGUF file, which says nothing that vLLM plans by; give the config.json of the model that it"
    " was made from, or the folder with it, and the bits of its weights as --weight-bits"
)
_ONLY_IN_FOLDER = (
    ("params.json", "only Mistral's params.json, which is not read here"),
    ("adapter_config.json", "an adapter: give the base model"),
    ("model_index.json", "a diffusion pipeline, not a language model"),
)


def read_model(path: Path) -> Mapping[str, Any]:
    """The config.json at `path`, or in the folder `path`, with ModelOpt's file beside it.

    `hf_quant_config.json` counts where config.json has no quantization_config, as in vLLM.
    ValueError names the file and what is wrong with it.
    """
    file = _config_in(path) if path.is_dir() else path
    config = read_json(file)
    beside = file.with_name("hf_quant_config.json")
    if config.get("quantization_config") is None and beside.is_file():
        return {**config, "quantization_config": read_json(beside)}
    return config


def _config_in(folder: Path) -> Path:
    file = folder / "config.json"
    if file.exists():
        return file
    for name, what in _ONLY_IN_FOLDER:
        if (folder / name).exists():
            raise ValueError(f"{folder}: no config.json, {what}")
    if next(folder.glob("*.gguf"), None):
        raise ValueError(f"{folder}: no config.json, only {_GGUF}")
    raise ValueError(f"{folder}: no config.json in this folder")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object in UTF-8, UTF-16 or UTF-32, with or without a byte-order mark."""
    text = _text(path, _bytes(path))
    try:
        read = json.loads(text)
    except RecursionError as problem:
        raise ValueError(f"{path}: not JSON that can be read: nested too deep") from problem
    except ValueError as problem:
        raise ValueError(f"{path}: not JSON: {problem}") from problem
    if not isinstance(read, dict):
        raise ValueError(f"{path}: not a JSON object")
    return read


def _bytes(path: Path) -> bytes:
    try:
        if path.exists() and not path.is_file():
            raise ValueError(f"{path}: not a file; {_GIVE}")
        with path.open("rb") as file:
            first = file.read(_SNIFFED_BYTES)
            _refuse_other(path, first)
            rest = file.read(_LARGEST_BYTES)
            if file.read(1):
                raise ValueError(f"{path}: too large for a config.json; {_GIVE}")
    except OSError as problem:
        raise ValueError(f"{path}: {problem.strerror or problem}") from problem
    return first + rest


def _refuse_other(path: Path, first: bytes) -> None:
    """A ValueError for files of another kind, by how they begin."""
    if first[:4] == b"GGUF":
        raise ValueError(f"{path}: {_GGUF}")
    if not first.strip(b"\0 \t\r\n"):
        raise ValueError(f"{path}: empty; {_GIVE}")
    for begins, what in _OTHER_FILES:
        if first.startswith(begins):
            raise ValueError(f"{path}: {what}; {_GIVE}")
    if first[8:9] == b"{" and first[4:8] == b"\0\0\0\0":  # the header's length, then the header
        raise ValueError(f"{path}: a safetensors file, weights alone; {_GIVE}")


def _text(path: Path, read: bytes) -> str:
    encoding = next((name for mark, name in _MARKS if read.startswith(mark)), None)
    if encoding is None:  # json knows UTF-16 and UTF-32 without a mark by their zero bytes
        encoding = json.detect_encoding(read)
    try:
        return read.decode(encoding)
    except UnicodeDecodeError as problem:
        raise ValueError(f"{path}: neither UTF-8 nor UTF-16 text; {_GIVE}") from problem
