"""A trace of requests as a workload: CSV, plain or in gzip, one request a row.

Columns by name in the first line: `prompt_tokens` and `output_tokens` are needed, `timestamp_s`
(seconds, in any order) gives the offered rate; others are ignored. No prefix is taken as cached,
whatever a trace says of it.
"""

import csv
import gzip
import math
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TextIO

from admission.workload import Workload, from_requests

_PROMPT, _OUTPUT, _AT = "prompt_tokens", "output_tokens", "timestamp_s"


def is_trace(name: str) -> bool:
    """Whether a workload's name is meant as a file."""
    return name.endswith((".csv", ".csv.gz")) or "/" in name


def read_trace(path: Path, *, max_model_len: int) -> Workload:
    """The workload of a trace file; ValueError names the file and the line at fault."""
    try:
        with _opened(path) as file:
            rows = list(_rows(path, file))
    except (OSError, EOFError, zlib.error) as problem:
        raise ValueError(f"{path}: {getattr(problem, 'strerror', None) or problem}") from problem
    except UnicodeDecodeError as problem:
        raise ValueError(f"{path}: not text (UTF-8); give a CSV, plain or in gzip") from problem
    if not rows:
        raise ValueError(f"{path}: no request below the first line")
    times = [at_s for _, _, at_s in rows if at_s is not None]
    span_s = max(times) - min(times) if times else 0.0
    return from_requests(
        path.name,
        [(prompt, output) for prompt, output, _ in rows],
        max_model_len=max_model_len,
        offered_per_s=len(rows) / span_s if span_s else None,
    )


def _opened(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _rows(path: Path, file: TextIO) -> Iterator[tuple[int, int, float | None]]:
    """Tokens in, tokens out and, where the trace has times, when."""
    reader = csv.DictReader(file)
    missing = [name for name in (_PROMPT, _OUTPUT) if name not in (reader.fieldnames or ())]
    if missing:
        raise ValueError(f"{path}:1: no column {' and no '.join(missing)}")
    try:
        for row in reader:
            place = f"{path}:{reader.line_num}"
            prompt, output = _tokens(place, row, _PROMPT, 1), _tokens(place, row, _OUTPUT, 0)
            yield prompt, output, _seconds(place, row)
    except csv.Error as problem:
        raise ValueError(f"{path}:{reader.line_num}: {problem}") from problem


def _tokens(place: str, row: Mapping[str, str | None], column: str, least: int) -> int:
    written = (row[column] or "").strip()
    if not written.isdecimal() or int(written) < least:
        raise ValueError(f"{place}: {column} {written!r} is not a number of at least {least}")
    return int(written)


def _seconds(place: str, row: Mapping[str, str | None]) -> float | None:
    if _AT not in row:
        return None
    try:
        seconds = float(row[_AT] or "")
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds):
        raise ValueError(f"{place}: {_AT} {row[_AT]!r} is not a number of seconds")
    return seconds
