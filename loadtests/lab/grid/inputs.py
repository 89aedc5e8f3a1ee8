"""A short hash of everything that a cell's result depends on: its settings, its files, the code."""

import hashlib
import json
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path

from loadtests.lab.grid.file import Planned

_ROOT = Path(__file__).parents[3]
_CODE = (
    "admission",
    "loadtests/lab",
    "serve/gate",
    "serve/simulated",
)
_TELLS_ONLY = (
    "loadtests/lab/comparing/command.py",
    "loadtests/lab/comparing/table.py",
    "loadtests/lab/flags.py",
    "loadtests/lab/fleet/command.py",
    "loadtests/lab/fleet/file.py",
    "loadtests/lab/fleet/tables.py",
    "loadtests/lab/grid",
    "loadtests/lab/replay",
    "loadtests/lab/page",
)


def inputs_of(planned: Planned, *, seed: int) -> str:
    """The hash for a whole cell."""
    tried = {
        policy: [asdict(each) for each in several] for policy, several in planned.tried.items()
    }
    return _hashed(
        {
            "cell": _cell(planned),
            "load": planned.cell.load,
            "tried": tried,
            "trial": asdict(planned.trial) | {"sweeps": sorted(planned.trial.sweeps)},
            "seed": seed,
        }
    )


def one_x_inputs_of(planned: Planned) -> str:
    """The hash for the search for its 1.0 x, which does not depend on policies."""
    trial = planned.trial
    return _hashed({"cell": _cell(planned), "trial": (trial.warm_up, trial.requests)})


def _cell(planned: Planned) -> dict[str, object]:
    cell = replace(planned.cell, load=None, named=None)
    files = {"profile": _of_file(cell.profile), "trace": _of_file(cell.trace)}
    return asdict(cell) | files | {"code": code()}


def _hashed(told: dict[str, object]) -> str:
    text = json.dumps(told, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def _of_file(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@cache
def code() -> str:
    """A hash of the modules that a run's result depends on."""
    found = hashlib.sha256()
    for part in _CODE:
        path = _ROOT / part
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            name = file.relative_to(_ROOT).as_posix()
            if not name.startswith(_TELLS_ONLY):
                found.update(name.encode() + b"\0" + file.read_bytes())
    return found.hexdigest()
