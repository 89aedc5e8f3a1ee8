"""Lines over one quantity, with the one that decides drawn thick in the colour of its cause."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from loadtests.document.ink import INK, PALETTE, Drawing, styled

_LABEL_GAP = 0.062  # of the axes' height: a line of text
_TICKS = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)
_KILO = 1024


@dataclass(frozen=True, slots=True)
class Curve:
    """One line; None = unknown there. `low` and `high` are the edges of its band, empty = none."""

    name: str
    values: Sequence[float | None]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Deciding:
    """The thick line: its values, and at each the index of the curve that decides."""

    values: Sequence[float]
    causes: Sequence[int]


@styled
def curves(
    xs: Sequence[float],
    lines: Sequence[Curve],
    deciding: Deciding,
    *,
    point: tuple[float, float, str] | None,
    axes_names: tuple[str, str],
) -> Drawing:
    """Lines over `xs` (doubling) with names at their right ends; `point` = x, y and its name.

    Heights grow by factors, and end in a true zero.
    """
    drawing = Drawing(inches=(8.4, 4.2), margins=(0.7, 1.8, 0.15, 0.6))
    axes = drawing.axes
    axes.set_xscale("log", base=2)
    axes.set_yscale("symlog", linthresh=1, linscale=0.35)
    for line, colour in zip(lines, PALETTE, strict=False):
        _line(drawing, xs, line, colour)
    for (left, right), (y0, y1), cause in zip(
        pairwise(xs), pairwise(deciding.values), deciding.causes, strict=False
    ):
        axes.plot(
            [left, right], [y0, y1], color=PALETTE[cause], lw=6, alpha=0.4, solid_capstyle="butt"
        )
    if point is not None:
        axes.plot(*point[:2], marker="o", ms=9, color=INK, mfc="none", mew=1.6, clip_on=False)
        axes.annotate(
            point[2], point[:2], xytext=(9, 9), textcoords="offset points", size=9, weight="bold"
        )
    _scales(drawing, xs, lines, axes_names)
    _names(drawing, lines)
    return drawing


def _line(drawing: Drawing, xs: Sequence[float], line: Curve, colour: str) -> None:
    known = [(x, y) for x, y in zip(xs, line.values, strict=True) if y is not None]
    if not known:
        return
    style = "--" if line.dashed else "-"
    drawing.axes.plot(*zip(*known, strict=True), color=colour, lw=1.6, ls=style, clip_on=False)
    if line.low:
        drawing.axes.fill_between(xs, line.low, line.high, color=colour, alpha=0.18, lw=0)


def _scales(
    drawing: Drawing, xs: Sequence[float], lines: Sequence[Curve], names: tuple[str, str]
) -> None:
    axes = drawing.axes
    most = max(y for line in lines for y in (*line.values, *line.high) if y is not None)
    axes.set_xlim(xs[0], xs[-1])
    axes.set_ylim(0, most * 1.3 + 1)
    doublings = [_KILO << i for i in range(12) if xs[0] <= _KILO << i <= xs[-1]]
    axes.set_xticks(doublings, [f"{x // _KILO}K" for x in doublings])
    axes.set_xticks([], minor=True)
    ticks = [y for y in _TICKS if y <= most * 1.3 + 1]
    axes.set_yticks(ticks, [f"{y:,}" for y in ticks])
    axes.set_yticks([], minor=True)
    axes.grid()
    axes.set_xlabel(names[0])
    axes.set_ylabel(names[1])


def _names(drawing: Drawing, lines: Sequence[Curve]) -> None:
    """Each line's name behind its right end, moved apart where two would overlap."""
    axes = drawing.axes
    ends = [(next((y for y in reversed(x.values) if y is not None), None), x) for x in lines]
    placed = [
        (axes.transAxes.inverted().transform(axes.transData.transform((1, y)))[1], line, colour)
        for (y, line), colour in zip(ends, PALETTE, strict=False)
        if y is not None
    ]
    placed.sort(key=lambda place: place[0])
    lowest = -_LABEL_GAP
    for at, line, colour in placed:
        lowest = max(at, lowest + _LABEL_GAP)
        axes.text(1.015, lowest, line.name, transform=axes.transAxes, color=colour, va="center")
