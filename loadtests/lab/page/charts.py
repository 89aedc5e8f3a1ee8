"""The charts of the lab's page."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from loadtests.document.ink import PALETTE, Drawing
from loadtests.document.panels import Level, Panel, PanelLine, Points, panels
from loadtests.document.rows import Marks, Parts, marks, parts
from loadtests.lab.page.cells import ORACLE_A, ORACLE_B, FoundCell, policies_of
from loadtests.lab.page.words import LabWords

_FULL = 100.0
_BY_SIZE_ROWS = 16  # at most: four cells
_PANEL_INCHES = 1.3


class ChartKind(NamedTuple):
    """A chart, and whether it has anything to draw."""

    name: str
    draw: Callable[[Sequence[FoundCell], LabWords], Drawing]
    wanted: Callable[[Sequence[FoundCell]], bool]


def _shares(cells: Sequence[FoundCell], words: LabWords) -> Drawing:
    shown = [
        Marks(name, [cell.share(name) for cell in cells], main=name == cells[0].first)
        for name in policies_of(cells)
    ]
    shown.append(Marks(ORACLE_B, [cell.share(ORACLE_B) for cell in cells], edge=True))
    return marks([cell.name for cell in cells], shown, axis=words("axis_share"))


def closely(cells: Sequence[FoundCell]) -> Sequence[FoundCell]:
    """The cells that were examined closely, else the first few."""
    return [cell for cell in cells if cell.noise or cell.ablations] or cells[:4]


def _by_size(cells: Sequence[FoundCell], words: LabWords) -> Drawing:
    names: list[str] = []
    found: dict[str, list[float | None]] = {}
    shown = [*policies_of(cells), ORACLE_B]
    for cell in closely(cells):
        buckets = cell.rows[cell.first]["acceptance_by_size"]
        for place, bucket in enumerate(buckets):
            head = cell.name if place == 0 else ""
            names.append(words("up_to", cell=head, tokens=bucket["up_to_tokens"]))
            for name in shown:
                row = cell.rows.get(name)
                value = None if row is None else row["acceptance_by_size"][place]["in_slo"] * _FULL
                found.setdefault(name, []).append(value)
    first = cells[0].first
    lines = [
        Marks(name, values[:_BY_SIZE_ROWS], main=name == first, edge=name == ORACLE_B)
        for name, values in found.items()
    ]
    return marks(names[:_BY_SIZE_ROWS], lines, axis=words("axis_share_of_size"))


def _gap(cells: Sequence[FoundCell], words: LabWords) -> Drawing:
    split = [gap(cell) for cell in cells]
    regained = [min(0.0, each.lengths) for each in split]  # of order: lengths were no help
    return parts(
        [cell.name for cell in cells],
        [
            Parts(cells[0].first, [each.ours for each in split]),
            Parts(words("gap_lengths"), [each.lengths for each in split]),
            Parts(
                words("gap_order"),
                [e.order + less for e, less in zip(split, regained, strict=True)],
            ),
            Parts(words("gap_bound"), [each.beyond or 0.0 for each in split]),
        ],
        axis=words("axis_share"),
    )


class Gap(NamedTuple):
    """Our share and the losses by cause, in per cent of all offered; a part may be negative."""

    ours: float
    lengths: float  # gained by knowing lengths
    order: float  # gained beyond that by the best known schedule, in which requests run and when
    beyond: float | None  # served by no known schedule, but not ruled out by the bound


def gap(cell: FoundCell) -> Gap:
    """The split of the loss; without `oracle_a` all of it counts as order."""
    ours, most = cell.share(cell.first) or 0.0, cell.share(ORACLE_B) or 0.0
    knowing = cell.share(ORACLE_A)
    knowing = ours if knowing is None else knowing
    beyond = None if cell.bound is None else cell.bound - most
    return Gap(ours, knowing - ours, most - knowing, beyond)


def _noise(cells: Sequence[FoundCell], words: LabWords) -> Drawing:
    shown = [_curve(cell, cell.noise, place, words) for place, cell in _with("noise", cells)]
    return panels(shown, x_axis=words("axis_sigma"), inches=_PANEL_INCHES)


def _sweep(cells: Sequence[FoundCell], words: LabWords) -> Drawing:
    shown = [_curve(cell, cell.sweep, place, words) for place, cell in _with("sweep", cells)]
    return panels(shown, x_axis=words("axis_n"), inches=_PANEL_INCHES)


def _with(curve: str, cells: Sequence[FoundCell]) -> Iterable[tuple[int, FoundCell]]:
    return enumerate(cell for cell in cells if getattr(cell, curve))


def _curve(cell: FoundCell, points: Points, place: int, words: LabWords) -> Panel:
    """One cell's curve, with our share as a line."""
    name = cell.name.replace("-", "\n", 1)  # too long for a line of the legend
    line = PanelLine(name, points, dots=True, colour=place % len(PALETTE))
    level = Level(cell.first, cell.share(cell.first) or 0.0)
    return Panel(words("axis_share_short"), [line], levels=[level], most=_FULL)


CHARTS = {
    chart.name: chart
    for chart in (
        ChartKind("shares", _shares, bool),
        ChartKind("sizes", _by_size, bool),
        ChartKind("gap", _gap, bool),
        ChartKind("noise", _noise, lambda cells: any(cell.noise for cell in cells)),
        ChartKind("sweep", _sweep, lambda cells: any(cell.sweep for cell in cells)),
    )
}
