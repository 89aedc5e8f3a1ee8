"""`sluice lab play`: compares policies on a trace."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

from loadtests.lab.catalogue import Variant, named, variants_of
from loadtests.lab.comparing.capacity import one_x
from loadtests.lab.comparing.comparison import PolicyComparison, compare
from loadtests.lab.comparing.table import table
from loadtests.lab.jobs import Cell, RunAll, at_once, busy_scale, runs
from loadtests.lab.page.page import page_of
from loadtests.lab.playing.door import Bounds
from loadtests.lab.playing.playable import context_tokens
from loadtests.lab.playing.workload import Cut, read_workload
from loadtests.lab.progress import progress
from serve.exits import Exit
from serve.profile.settings import ProfileError, load_admission


def main(args: argparse.Namespace) -> int:
    """Plays and prints; returns the exit code."""
    try:
        cells, variants = _cells(args), _variants(args)
        for cell in cells:
            read_workload(cell.trace, cell.cut)  # fails before any long work
        for written in (args.records, args.html):
            if written is not None:
                _begin(written)
        with progress() as shown, runs(args.jobs, shown) as run_all:
            if args.load:
                cells = [each for cell in cells for each in _loaded(cell, args.load, run_all)]
            comparisons = at_once(
                args.jobs, lambda cell: compare(cell, variants, run_all, seed=args.seed), cells
            )
    except (ProfileError, ValueError) as problem:
        sys.stderr.write(f"sluice lab: {problem}\n")
        return Exit.BAD_INPUT
    _show(args, comparisons)
    return Exit.GOOD


def _begin(file: Path) -> None:
    """Empties the file now, so that an unwritable path fails before the runs."""
    try:
        file.write_text("", encoding="utf-8")
    except OSError as problem:
        raise ValueError(f"{file}: {problem.strerror}") from problem


def _variants(args: argparse.Namespace) -> dict[str, tuple[Variant, ...]]:
    names = named(args.policies)
    return {name: variants_of(name, static_n=args.static_n) for name in names}


def _cells(args: argparse.Namespace) -> list[Cell]:
    settings = None if args.admission is None else load_admission(args.admission).settings()
    bounds = Bounds(args.ttft, args.tpot)
    cells = []
    for trace, kv_tokens, scale in product(args.trace, args.kv_tokens or [None], args.rate_scale):
        context = context_tokens(args.config, kv_tokens)
        cut = Cut(args.skip, args.warm_up, args.limit_requests, scale, args.max_tokens, context)
        cells.append(Cell(args.config, trace, cut, bounds, kv_tokens, settings))
    return cells


def _loaded(cell: Cell, loads: Sequence[float], run_all: RunAll) -> list[Cell]:
    """The cell at each of the loads; finds its 1.0 x and prints it first."""
    scale = one_x(cell, run_all, most=busy_scale(cell))
    sys.stderr.write(f"{cell.trace.name}: 1.0 x is {scale:.4g} x its own rate\n")
    return [
        replace(cell, cut=replace(cell.cut, rate_scale=scale * load), load=load) for load in loads
    ]


def _show(args: argparse.Namespace, comparisons: Sequence[PolicyComparison]) -> None:
    if args.records is not None:
        lines = (json.dumps(record) + "\n" for each in comparisons for record in each.records())
        with args.records.open("w", encoding="utf-8") as file:
            file.writelines(lines)
    if args.html is not None:
        found = [comparison.as_json() for comparison in comparisons]
        args.html.write_text(page_of(found), encoding="utf-8")
    if args.json:
        cells = {"cells": [comparison.as_json() for comparison in comparisons]}
        sys.stdout.write(json.dumps(cells, indent=2) + "\n")
        return
    sys.stdout.write("\n".join(table(comparison) for comparison in comparisons))
