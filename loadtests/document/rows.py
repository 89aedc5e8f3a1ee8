"""Rows of values in per cent, one below the other: as marks on a line, or as parts of a bar."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from loadtests.document.ink import FAINT, GROUND, INK, PALETTE, QUIET, Drawing, styled

_ROW_INCHES = 0.3
_WIDTH_INCHES = 8.4
_RIGHT, _TOP, _BOTTOM = 1.55, 0.1, 0.6  # to the right stands what the marks mean
_BESIDE_NAMES, _CHARACTER_INCHES = 0.35, 0.075  # no text is measured
_LEAST_INCHES = 2.9  # the marks' names need so much
_MARKERS = "osD^vPX*"
_FROM, _FULL = -2.0, 100.0  # a mark at zero does not stand on its name


@dataclass(frozen=True, slots=True)
class Marks:
    """What one mark means: its value in each row, None = none there. `edge` = a bound, drawn so."""

    name: str
    values: Sequence[float | None]
    main: bool = False
    edge: bool = False


@dataclass(frozen=True, slots=True)
class Parts:
    """What one part of the bars means: its value in each row."""

    name: str
    values: Sequence[float]


@styled
def marks(names: Sequence[str], shown: Sequence[Marks], *, axis: str) -> Drawing:
    """A line for each name with its marks: the main ones large and filled, others open."""
    drawing = _drawing(names)
    axes, others = drawing.axes, 0
    for row in range(len(names)):
        values = [x for each in shown if (x := each.values[row]) is not None]
        if values:
            axes.plot([min(values), max(values)], [row, row], color=FAINT, lw=1, zorder=1)
    for each in shown:
        _draw(axes, each, others)
        others += not (each.main or each.edge)
    return _finished(drawing, names, axis)


def _draw(axes: Axes, each: Marks, place: int) -> None:
    points = [(x, row) for row, x in enumerate(each.values) if x is not None]
    colour = INK if each.edge else PALETTE[4] if each.main else _colour(place)
    marker = "|" if each.edge else "o" if each.main else _MARKERS[place % len(_MARKERS)]
    axes.plot(
        [x for x, _ in points],
        [row for _, row in points],
        ls="none",
        marker=marker,
        ms=13 if each.edge else 8 if each.main else 5,
        mec=colour,
        mew=1.4,
        mfc=colour if each.main else GROUND,
        label=each.name,
        zorder=3 if each.main else 2,
        clip_on=False,
    )


def _colour(place: int) -> str:
    colours = [*PALETTE[:4], PALETTE[5], QUIET]
    return colours[place % len(colours)]


@styled
def parts(names: Sequence[str], shown: Sequence[Parts], *, axis: str) -> Drawing:
    """A bar for each name from its parts, first to last; parts below zero count as nothing."""
    drawing = _drawing(names)
    begins = [0.0] * len(names)
    colours = [PALETTE[4], *PALETTE[:4], QUIET]
    for each, colour in zip(shown, colours, strict=False):
        widths = [max(0.0, value) for value in each.values]
        rows = range(len(names))
        drawing.axes.barh(
            rows, widths, 0.62, left=begins, color=colour, edgecolor=GROUND, label=each.name
        )
        begins = [begin + width for begin, width in zip(begins, widths, strict=True)]
    return _finished(drawing, names, axis)


def _drawing(names: Sequence[str]) -> Drawing:
    height = max(_LEAST_INCHES, len(names) * _ROW_INCHES + 0.7)
    left = _BESIDE_NAMES + _CHARACTER_INCHES * max(map(len, names), default=0)
    return Drawing(inches=(_WIDTH_INCHES, height), margins=(left, _RIGHT, _TOP, _BOTTOM))


def _finished(drawing: Drawing, names: Sequence[str], axis: str) -> Drawing:
    axes = drawing.axes
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(_FROM, _FULL)
    axes.grid(axis="x")
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(axis)
    axes.legend(
        loc="upper left",
        bbox_to_anchor=(1.03, 1.02),
        frameon=False,
        fontsize=9,
        labelspacing=0.5,
        borderaxespad=0,
    )
    return drawing
