"""`sluice compare`: reads the files, compares each with the first, prints, exits."""

import argparse
import json
import sys
from pathlib import Path

from loadtests.compare.arm import Arm, arm
from loadtests.compare.comparison import Comparison, as_json, compare
from loadtests.compare.text import document
from loadtests.document.terminal import as_text
from loadtests.record import RunRecord
from loadtests.report.read import read_any
from serve.exits import Exit

_INDENT = 2  # of the JSON
_MOST = 26  # letters


def main(args: argparse.Namespace) -> int:
    """0 = valid, all with the same load; 1 = not (printed all the same); 2 = bad files."""
    try:
        arms = _arms(args.files)
        found = [compare(arms[0], other) for other in arms[1:]]
    except OSError as problem:
        return _bad(f"{problem.filename}: {problem.strerror or problem}")
    except ValueError as problem:
        return _bad(str(problem))
    if args.json:
        shown = json.dumps(as_json(arms, found), indent=_INDENT)
    else:
        shown = as_text(document(arms, found))
    sys.stdout.write(shown + "\n")
    return Exit.GOOD if all(map(_comparable, found)) else Exit.NO


def _bad(message: str) -> int:
    sys.stderr.write(f"sluice compare: {message}\n")
    return Exit.BAD_INPUT


def _arms(files: list[Path]) -> list[Arm]:
    if not 2 <= len(files) <= _MOST:  # noqa: PLR2004 - a pair
        raise ValueError(f"{len(files)} file(s): give two to {_MOST}")
    arms = [arm(place, str(file), _read(file)) for place, file in enumerate(files)]
    if len({each.is_search for each in arms}) > 1:
        raise ValueError("a search for the limit and a run cannot be compared: give two of a kind")
    return arms


def _read(file: Path) -> RunRecord:
    try:
        return read_any(file)
    except UnicodeDecodeError as problem:
        raise ValueError(f"{file}: not text (UTF-8), so no run and no limit of ours") from problem


def _comparable(found: Comparison) -> bool:
    return found.load.same and not found.first.flaws and not found.second.flaws
