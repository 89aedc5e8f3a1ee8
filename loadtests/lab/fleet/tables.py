"""The tables of a fleet grid, for docs/measurements/fleet.md."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from loadtests.document.document import Document, Section, Table
from loadtests.lab.fleet.routers import OURS

_Told = Mapping[str, Any]


def document(cells: Sequence[_Told]) -> Document:
    """Shares served in time, TTFT and cached prompt tokens of every arm in every cell."""
    return Document(
        [],
        [
            Section("Served within both bounds, % of all offered", [_shares(cells)]),
            Section("TTFT p95, s", [_columns(cells, _ttft)]),
            Section("Prompt tokens found in the prefix cache, %", [_columns(cells, _cached)]),
        ],
    )


def _shares(cells: Sequence[_Told]) -> Table:
    """Shares served in time, with the best known schedule and our share of it."""
    arms = _arms(cells)
    rows = [
        [
            *_labels(cell),
            *(_of(cell, arm, _share) for arm in arms),
            f"{100 * _best(cell):.1f}",
            f"{_ours(cell) / _best(cell):.3f}" if _best(cell) else "-",
        ]
        for cell in cells
    ]
    return Table(
        [*_HEADS, *arms, "best schedule", f"{OURS} / best"], "lrr" + "r" * (len(arms) + 2), rows
    )


def _columns(cells: Sequence[_Told], read: Callable[[_Told], str]) -> Table:
    arms = _arms(cells)
    rows = [[*_labels(cell), *(_of(cell, arm, read) for arm in arms)] for cell in cells]
    return Table([*_HEADS, *arms], "lrr" + "r" * len(arms), rows)


_HEADS = ("cells", "engines", "load")


def _labels(cell: _Told) -> list[str]:
    group = cell["cell"].rsplit("-", 2)[0]
    return [group, str(cell["engines"]), f"{cell['load']:g} x"]


def _arms(cells: Sequence[_Told]) -> list[str]:
    """The arms in order of first appearance."""
    return list(dict.fromkeys(row["arm"] for cell in cells for row in cell["rows"]))


def _of(cell: _Told, arm: str, read: Callable[[_Told], str]) -> str:
    return next((read(row) for row in cell["rows"] if row["arm"] == arm), "-")


def _share(row: _Told) -> str:
    return f"{100 * row['share_of_offered']:.1f}"


def _ttft(row: _Told) -> str:
    return "-" if row["ttft_p95_s"] is None else f"{row['ttft_p95_s']:.2f}"


def _cached(row: _Told) -> str:
    return f"{100 * row['cached_ratio']:.1f}"


def _best(cell: _Told) -> float:
    return max((row["share_of_offered"] for row in cell["schedules"]), default=0.0)


def _ours(cell: _Told) -> float:
    return next((row["share_of_offered"] for row in cell["rows"] if row["arm"] == OURS), 0.0)
