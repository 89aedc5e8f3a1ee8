"""`sluice lab fleet FILE --out FOLDER`: plays unfinished runs, then writes the tables."""

import argparse
import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any

from loadtests.document.markdown import as_markdown
from loadtests.lab.fleet.cell import FleetCell, FleetRow, one_x_per_s, run
from loadtests.lab.fleet.file import PlannedFleet, read_fleet_grid
from loadtests.lab.fleet.tables import document
from loadtests.lab.grid.folder import Folder
from loadtests.lab.grid.inputs import code
from loadtests.lab.jobs import pool_of
from loadtests.lab.progress import LabProgress, progress
from serve.exits import Exit
from serve.profile.settings import ProfileError

_Map = Callable[..., Iterator[Any]]


def main(args: argparse.Namespace) -> int:
    """Plays missing runs, writes and prints the results; returns the exit code."""
    try:
        planned, folder = read_fleet_grid(args.grid), Folder(args.out)
        with progress() as shown, _mapping(args.jobs) as over:
            told = _play(planned, folder, over, shown)
    except (ProfileError, ValueError) as problem:
        sys.stderr.write(f"sluice lab: {problem}\n")
        return Exit.BAD_INPUT
    text = as_markdown(document(told))
    (folder.path / "table.md").write_text(text, encoding="utf-8")
    sys.stdout.write(text)
    return Exit.GOOD


@contextmanager
def _mapping(processes: int) -> Iterator[_Map]:
    if processes == 1:
        yield map
        return
    with pool_of(processes) as pool:
        yield pool.map


def _play(
    planned: Sequence[PlannedFleet], folder: Folder, over: _Map, shown: LabProgress
) -> list[dict[str, Any]]:
    """Plays missing runs; returns the cells with all their rows."""
    for cell in {each.workload: each.cell for each in planned}.values():
        cell.source.workload(1.0, cell.part)  # fails before any long work
    rates = _one_x(planned, folder, over)
    cells = [
        replace(each.cell, rate_per_s=rates[each.workload] * each.load * each.cell.engines)
        for each in planned
    ]
    wanted = [
        (cell, arm)
        for each, cell in zip(planned, cells, strict=True)
        for arm in (*each.arms, *each.schedules)
    ]
    missing = [job for job in wanted if folder.cell(_name(*job), _inputs(*job)) is None]
    shown.expect(sum(_requests(cell) for cell, _ in missing))
    for (cell, arm), row in zip(missing, over(run, *_columns(missing)), strict=True):
        folder.keep_cell(_name(cell, arm), _inputs(cell, arm), _as_json(row))
        told = f"{cell.name} {arm} {100 * row.row.share_of_offered:.1f} %"
        shown.done(_requests(cell), told)
    return [
        {
            "cell": cell.name,
            "workload": each.workload,
            "engines": cell.engines,
            "load": each.load,
            "rate_per_s": cell.rate_per_s,
            "rows": [folder.cell(_name(cell, arm), _inputs(cell, arm)) for arm in each.arms],
            "schedules": [
                folder.cell(_name(cell, arm), _inputs(cell, arm)) for arm in each.schedules
            ],
        }
        for each, cell in zip(planned, cells, strict=True)
    ]


def _one_x(planned: Sequence[PlannedFleet], folder: Folder, over: _Map) -> dict[str, float]:
    """Requests a second of one engine at 1.0 x, by workload; finds those that are missing."""
    alone = {each.workload: each.cell for each in planned}
    names = {workload: f"1.0x-{workload}" for workload in alone}
    inputs = {name: _inputs(replace(cell, name="", engines=1), "") for name, cell in alone.items()}
    found = {name: folder.cell(names[name], inputs[name]) for name in alone}
    missing = [name for name, told in found.items() if told is None]
    for name, rate_per_s in zip(
        missing, over(one_x_per_s, [alone[name] for name in missing]), strict=True
    ):
        folder.keep_cell(names[name], inputs[name], {"rate_per_s": rate_per_s})
        sys.stderr.write(f"{name}: 1.0 x is {rate_per_s:.4g} requests/s for each engine\n")
        found[name] = {"rate_per_s": rate_per_s}
    return {name: float(told["rate_per_s"]) for name, told in found.items() if told}


def _columns(jobs: Sequence[tuple[FleetCell, str]]) -> tuple[list[FleetCell], list[str]]:
    return [cell for cell, _ in jobs], [arm for _, arm in jobs]


def _requests(cell: FleetCell) -> int:
    return cell.part.warm_up + cell.part.requests


def _name(cell: FleetCell, arm: str) -> str:
    return f"{cell.name}-{arm.replace(':', '_')}"


def _inputs(cell: FleetCell, arm: str) -> str:
    told = asdict(cell) | {"arm": arm, "source": repr(cell.source), "code": code()}
    text = json.dumps(told, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _as_json(row: FleetRow) -> dict[str, Any]:
    return {"arm": row.arm, "cached_ratio": row.cached_ratio} | row.row.as_json()
