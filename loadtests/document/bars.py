"""Bars that lie: one stacked from parts with their ranges, or one for each of some numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

from loadtests.document.ink import GROUND, INK, PALETTE, QUIET, Drawing, styled

_ROW_INCHES = 0.32
_WIDTH_INCHES = 8.4
_TALL, _THIN = 0.62, 3.0  # of a bar in rows; of a range's line in points
_LABELLED_SHARE = 0.07  # a narrower part has no room for its name


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a stack; `low` = `high` = `value` where it is exact. `told` stands at its row."""

    name: str
    value: float
    low: float
    high: float
    told: str

    @property
    def exact(self) -> bool:
        """Whether it has no range."""
        return self.low == self.high


@dataclass(frozen=True, slots=True)
class Bar:
    """A number with its range; None = unknown. `marked` = the one the chart is about."""

    name: str
    value: float | None
    low: float
    high: float
    told: str
    marked: bool = False


@styled
def stack(parts: Sequence[Part], *, axis: str) -> Drawing:
    """The parts side by side in one bar, and below it each with its range.

    Exact parts are filled, estimated ones hatched. Parts below zero count as nothing in the bar.
    """
    drawing = _drawing(len(parts) + 2)
    axes, total = drawing.axes, sum(max(0.0, part.value) for part in parts)
    begin = 0.0
    for row, (part, colour) in enumerate(zip(parts, _colours(len(parts)), strict=True), start=2):
        shown = max(0.0, part.value)
        hatch = None if part.exact else "////"
        axes.barh(
            0.3, shown, 0.9, left=begin, color=colour, hatch=hatch, edgecolor=GROUND, linewidth=0.8
        )
        if shown > total * _LABELLED_SHARE:
            middle = begin + shown / 2
            box = {"facecolor": GROUND, "edgecolor": "none", "pad": 1.5, "alpha": 0.85}
            axes.text(middle, 0.3, part.name, ha="center", va="center", size=9, bbox=box)
        _range(drawing, row, part, colour)
        begin += shown
    axes.set_xlim(0, total * 1.001)
    _rows(drawing, [(row, part.name, part.told) for row, part in enumerate(parts, start=2)])
    axes.set_ylim(len(parts) + 1.6, -0.35)
    axes.set_xlabel(axis)
    return drawing


@styled
def bars(numbers: Sequence[Bar], *, axis: str) -> Drawing:
    """A bar for each number, the marked one in colour, the ranges as lines."""
    drawing = _drawing(len(numbers))
    axes = drawing.axes
    for row, bar in enumerate(numbers):
        colour = PALETTE[4] if bar.marked else QUIET
        axes.barh(row, bar.value or 0, _TALL, color=colour)
        if bar.low != bar.high:
            axes.plot([bar.low, bar.high], [row, row], color=INK, lw=_THIN / 2, marker="|")
    most = max([1.0, *(max(bar.value or 0, bar.high) for bar in numbers)])
    axes.set_xlim(0, most * 1.02)
    _rows(drawing, [(row, bar.name, bar.told) for row, bar in enumerate(numbers)])
    axes.set_ylim(len(numbers) - 0.4, -0.6)
    axes.set_xlabel(axis)
    return drawing


def _drawing(rows: int) -> Drawing:
    height = rows * _ROW_INCHES + 0.7
    return Drawing(inches=(_WIDTH_INCHES, height), margins=(1.25, 1.9, 0.1, 0.6))


def _rows(drawing: Drawing, rows: Sequence[tuple[float, str, str]]) -> None:
    """Names to the left of the rows and what is told of them to the right."""
    axes = drawing.axes
    axes.set_yticks([row for row, _, _ in rows], [name for _, name, _ in rows])
    for row, _, told in rows:
        axes.text(1.015, row, told, transform=axes.get_yaxis_transform(), va="center", size=9)
    axes.grid(axis="x")
    axes.spines["left"].set_visible(False)


def _range(drawing: Drawing, row: int, part: Part, colour: str) -> None:
    drawing.axes.plot([part.low, part.high], [row, row], color=colour, lw=_THIN)
    drawing.axes.plot([part.value], [row], color=colour, marker="o", ms=6, mec=INK, mew=0.6)


def _colours(count: int) -> list[str]:
    return [PALETTE[index % len(PALETTE)] for index in range(count - 1)] + [QUIET]
