"""`sluice lab grid FILE --out FOLDER`: plays unfinished cells, then writes table and page."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace

from loadtests.lab.comparing.capacity import one_x
from loadtests.lab.comparing.comparison import compare
from loadtests.lab.comparing.search import requests_of
from loadtests.lab.grid.file import Planned, read_grid
from loadtests.lab.grid.folder import Folder
from loadtests.lab.grid.inputs import inputs_of, one_x_inputs_of
from loadtests.lab.grid.markdown import markdown
from loadtests.lab.jobs import RunAll, at_once, busy_scale, runs
from loadtests.lab.page.page import page_of
from loadtests.lab.playing.workload import read_workload
from loadtests.lab.progress import progress
from serve.exits import Exit
from serve.profile.settings import ProfileError

_ONE_X_RUNS = 12  # six rates, two plans


def main(args: argparse.Namespace) -> int:
    """Plays missing cells, writes and prints the results; returns the exit code."""
    try:
        planned = _asked_for(read_grid(args.grid), args.only)
        folder = Folder(args.out)
        for each in planned:
            read_workload(each.cell.trace, each.cell.cut)  # fails before any long work
        problems = _play(planned, folder, jobs=args.jobs, seed=args.seed)
    except (ProfileError, ValueError) as problem:
        sys.stderr.write(f"sluice lab: {problem}\n")
        return Exit.BAD_INPUT
    finished = [folder.cell(each.name, inputs_of(each, seed=args.seed)) for each in planned]
    cells = [each for each in finished if each is not None]
    text = markdown(cells)
    (folder.path / "table.md").write_text(text, encoding="utf-8")
    (folder.path / "report.html").write_text(page_of(cells), encoding="utf-8")
    sys.stdout.write(text)
    sys.stderr.writelines(f"sluice lab: {unplayed}\n" for unplayed in problems)
    return Exit.BAD_INPUT if problems else Exit.GOOD


def _asked_for(planned: Sequence[Planned], only: Sequence[str] | None) -> list[Planned]:
    if not only:
        return list(planned)
    unknown = set(only) - {each.name for each in planned}
    if unknown:
        names = ", ".join(each.name for each in planned)
        raise ValueError(f"--only: no cell {', '.join(sorted(unknown))}; there are {names}")
    return [each for each in planned if each.name in only]


def _play(planned: Sequence[Planned], folder: Folder, *, jobs: int, seed: int) -> list[str]:
    """Plays missing cells; returns the problems of those whose 1.0 x was not found."""
    missing = [
        each for each in planned if folder.cell(each.name, inputs_of(each, seed=seed)) is None
    ]
    if len(missing) < len(planned):
        sys.stderr.write(f"{len(planned) - len(missing)} of {len(planned)} cells are finished\n")
    if not missing:
        return []
    with progress() as shown, runs(jobs, shown) as run_all:
        pools = {one_x_inputs_of(each): each for each in missing}
        unknown = [each for inputs, each in pools.items() if folder.one_x(each, inputs) is None]
        shown.expect(sum(map(_cell_requests, missing)) + sum(map(_one_x_requests, unknown)))
        problems = at_once(jobs, lambda each: _find_one_x(each, folder, run_all), unknown)
        playable = [each for each in missing if _one_x_of(each, folder) is not None]
        at_once(jobs, lambda each: _play_cell(each, folder, run_all, seed), playable)
    return [problem for problem in problems if problem]


def _cell_requests(planned: Planned) -> int:
    return requests_of(planned.cell, planned.tried, planned.trial)


def _one_x_requests(planned: Planned) -> int:
    return _ONE_X_RUNS * (planned.trial.warm_up + planned.trial.requests)


def _one_x_of(planned: Planned, folder: Folder) -> float | None:
    return folder.one_x(planned, one_x_inputs_of(planned))


def _find_one_x(planned: Planned, folder: Folder, run_all: RunAll) -> str | None:
    """Finds 1.0 x and keeps it in the folder; returns the problem if it cannot be found."""
    part = planned.trial.of(planned.cell)
    try:
        scale = one_x(part, run_all, most=busy_scale(part))
    except ValueError as problem:
        return f"{planned.name}, and what shares its 1.0 x: {problem}"
    sys.stderr.write(f"{part.trace.name}: 1.0 x is {scale:.4g} x its own rate\n")
    folder.keep_one_x(planned, one_x_inputs_of(planned), scale)
    return None


def _play_cell(planned: Planned, folder: Folder, run_all: RunAll, seed: int) -> None:
    scale = _one_x_of(planned, folder)
    if scale is None or planned.cell.load is None:
        raise ValueError(f"{planned.name}: its 1.0 x is not known")
    cut = replace(planned.cell.cut, rate_scale=scale * planned.cell.load)
    cell = replace(planned.cell, cut=cut)
    found = compare(cell, planned.tried, run_all, seed=seed, trial=planned.trial)
    folder.keep_cell(
        planned.name, inputs_of(planned, seed=seed), found.as_json() | {"one_x": scale}
    )
