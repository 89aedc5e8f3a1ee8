"""Reads a trace of requests: CSV, plain or gzipped, one request per row.

The first line names the columns. `prompt_tokens` and `output_tokens` are required. `timestamp_s`
(seconds, in any order), `max_tokens` (the request's own limit), `client_id` and
`prefix_block_ids_512` (ids of the prompt's blocks of 512 tokens, separated by spaces) are optional.
Other columns are ignored.
"""

import csv
import gzip
import math
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

BLOCK_TOKENS = 512
_PROMPT, _OUTPUT, _AT = "prompt_tokens", "output_tokens", "timestamp_s"
_LIMIT = "max_tokens"
_CLIENT, _BLOCKS = "client_id", f"prefix_block_ids_{BLOCK_TOKENS}"
_Line = Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Row:
    """One request. `blocks` = ids of its prompt's blocks; the last may be partly full."""

    prompt_tokens: int
    output_tokens: int  # may be 0
    at_s: float | None = None
    client: str | None = None
    blocks: tuple[str, ...] = ()
    max_tokens: int | None = None


def is_trace(name: str) -> bool:
    """Whether a workload's name refers to a file."""
    return name.endswith((".csv", ".csv.gz")) or "/" in name


def read_rows(path: Path) -> list[Row]:
    """The requests of a trace file; ValueError names the file and the faulty line."""
    try:
        with _opened(path) as file:
            rows = list(_rows(path, file))
    except (OSError, EOFError, zlib.error) as problem:
        raise ValueError(f"{path}: {getattr(problem, 'strerror', None) or problem}") from problem
    except UnicodeDecodeError as problem:
        raise ValueError(f"{path}: not text (UTF-8); give a CSV, plain or in gzip") from problem
    if not rows:
        raise ValueError(f"{path}: no request below the first line")
    return rows


def _opened(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _rows(path: Path, file: TextIO) -> Iterator[Row]:
    reader = csv.DictReader(file)
    missing = [name for name in (_PROMPT, _OUTPUT) if name not in (reader.fieldnames or ())]
    if missing:
        raise ValueError(f"{path}:1: no column {' and no '.join(missing)}")
    try:
        for line in reader:
            place = f"{path}:{reader.line_num}"
            yield Row(
                _tokens(place, line, _PROMPT, 1),
                _tokens(place, line, _OUTPUT, 0),
                _seconds(place, line),
                line.get(_CLIENT),
                tuple((line.get(_BLOCKS) or "").split()),
                _tokens(place, line, _LIMIT, 1) if line.get(_LIMIT) else None,
            )
    except csv.Error as problem:
        raise ValueError(f"{path}:{reader.line_num}: {problem}") from problem


def _tokens(place: str, line: _Line, column: str, least: int) -> int:
    written = (line[column] or "").strip()
    if not written.isdecimal() or int(written) < least:
        raise ValueError(f"{place}: {column} {written!r} is not a number of at least {least}")
    return int(written)


def _seconds(place: str, line: _Line) -> float | None:
    if _AT not in line:
        return None
    try:
        seconds = float(line[_AT] or "")
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds):
        raise ValueError(f"{place}: {_AT} {line[_AT]!r} is not a number of seconds")
    return seconds
