"""A run or a search, read from whatever file it was saved in."""

import json
from pathlib import Path
from typing import Any

from loadtests.record import RunRecord, read_run


def read_any(path: Path) -> RunRecord:
    """A run's records, or the `--json` of `sluice limit`, which has no records.

    ValueError or OSError says what is wrong with the file.
    """
    if path.suffix == ".json":
        return _search(path)
    run = read_run(path)
    if not run.about:
        raise ValueError(f"{path}: no line of type run; give a run's file or a --json of a limit")
    return run


def _search(path: Path) -> RunRecord:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        about = found["about"] | {"endpoint": found["endpoint"]}
    except (ValueError, KeyError, TypeError) as problem:
        raise ValueError(f"{path}: not what sluice limit --json prints ({problem!r})") from problem
    return RunRecord(about, (), {}, limit=found)
