"""The folder of a grid: a JSON file for every finished cell and every known 1.0 x."""

import json
from pathlib import Path
from typing import Any

from loadtests.lab.grid.file import Planned


class Folder:
    """Keeps results; a result from other inputs counts as missing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise ValueError(f"{path}: {problem.strerror}") from problem

    def cell(self, name: str, inputs: str) -> dict[str, Any] | None:
        """A finished cell; None = not played yet."""
        return self._read(name, inputs)

    def keep_cell(self, name: str, inputs: str, told: dict[str, Any]) -> None:
        """Stores a finished cell."""
        self._write(name, {"cell": name, "inputs": inputs} | told)

    def one_x(self, planned: Planned, inputs: str) -> float | None:
        """The scale of the trace's rate that is 1.0 x; None = not found yet."""
        found = self._read(_of_one_x(planned), inputs)
        return None if found is None else float(found["rate_scale"])

    def keep_one_x(self, planned: Planned, inputs: str, rate_scale: float) -> None:
        """Stores the scale that is 1.0 x."""
        self._write(_of_one_x(planned), {"inputs": inputs, "rate_scale": rate_scale})

    def _read(self, name: str, inputs: str) -> dict[str, Any] | None:
        try:
            told = json.loads((self.path / f"{name}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return told if isinstance(told, dict) and told.get("inputs") == inputs else None

    def _write(self, name: str, told: dict[str, Any]) -> None:
        """Writes atomically: a run may be interrupted at any time."""
        file = self.path / f"{name}.json"
        draft = file.with_suffix(".draft")
        draft.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
        draft.replace(file)


def _of_one_x(planned: Planned) -> str:
    """The name of the file with 1.0 x, from the trace and the cache."""
    cell = planned.cell
    cache = "planned" if cell.kv_tokens is None else str(cell.kv_tokens)
    return f"1.0x-{cell.trace.name.split('.')[0]}-{cache}"
