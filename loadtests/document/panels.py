"""Panels one below the other over one quantity: lines, dots, levels, areas, and what is marked."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from loadtests.document.ink import INK, PALETTE, QUIET, Drawing, styled

_WIDTH_INCHES = 8.4
_MARGINS = (0.8, 1.55, 0.35, 0.55)
_GAP_INCHES = 0.2
_ROOM_ABOVE = 1.08  # times the highest value
_LOG_FROM = 40.0  # times between highest and lowest from which only factors can be read
_GROUPED_FROM = 1000  # thousands are set apart
_CHARACTER = 0.012  # of the width, about: no text is measured
_ROW_POINTS = 10  # between two rows of names
QUIETLY = ":"  # the style of marks that are many

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class PanelLine:
    """Points joined in their order; `dots` = marked each, `joined` False = only the marks."""

    name: str
    points: Points
    colour: int = 0  # of the palette
    style: str = "-"
    dots: bool = False
    joined: bool = True
    faint: bool = False


@dataclass(frozen=True, slots=True)
class Level:
    """A value that is not to be crossed, drawn across the panel."""

    name: str
    value: float


@dataclass(frozen=True, slots=True)
class Mark:
    """A place on the x axis, through all panels; `low` to `high` is how sure it is."""

    name: str
    x: float
    low: float | None = None
    high: float | None = None
    style: str = "-"


@dataclass(frozen=True, slots=True)
class Area:
    """One layer of a stack; layers of a panel have the same xs."""

    name: str
    points: Points
    colour: int


@dataclass(frozen=True, slots=True)
class Panel:
    """One pair of axes. Its y begins at zero, unless factors are all that could be read."""

    axis: str
    lines: Sequence[PanelLine] = ()
    levels: Sequence[Level] = ()
    areas: Sequence[Area] = ()
    by_factors: bool = False  # allowed to grow by factors
    most: float | None = None  # at least up to here


@styled
def panels(
    shown: Sequence[Panel],
    *,
    x_axis: str,
    marks: Sequence[Mark] = (),
    xs: tuple[float, float] | None = None,
    inches: float = 1.75,
) -> Drawing:
    """Each panel `inches` high; `xs` = the ends of the x axis, None = as the points lie."""
    _, _, top, bottom = _MARGINS
    height = len(shown) * inches + (len(shown) - 1) * _GAP_INCHES + top + bottom
    drawing = Drawing(
        inches=(_WIDTH_INCHES, height), margins=_MARGINS, panels=len(shown), gap=_GAP_INCHES
    )
    ends = xs or _ends(shown)
    for axes, panel in zip(drawing.panels, shown, strict=True):
        _fill(axes, panel)
        _scale(axes, panel)
        for mark in marks:
            _mark(axes, mark)
        axes.set_xlim(*ends)
        axes.tick_params(labelbottom=axes is drawing.panels[-1])
    drawing.panels[-1].set_xlabel(x_axis)
    drawing.panels[-1].xaxis.set_major_formatter(FuncFormatter(_told))
    _name_marks(drawing.axes, marks, ends)
    return drawing


def _fill(axes: Axes, panel: Panel) -> None:
    for line in panel.lines:
        colour = PALETTE[line.colour]
        axes.plot(
            [x for x, _ in line.points],
            [y for _, y in line.points],
            color=colour,
            ls=line.style if line.joined else "none",
            lw=1.6,
            marker="o" if line.dots or not line.joined else None,
            ms=2.2 if line.faint else 4.5,
            mew=0,
            alpha=0.4 if line.faint else 1,
            label=line.name,
        )
    if panel.areas:
        axes.stackplot(
            [x for x, _ in panel.areas[0].points],
            [[y for _, y in area.points] for area in panel.areas],
            colors=[PALETTE[area.colour] for area in panel.areas],
            labels=[area.name for area in panel.areas],
            alpha=0.75,
            lw=0,
        )
    for level in panel.levels:
        axes.axhline(level.value, color=INK, lw=1.1, ls=(0, (5, 3)), label=level.name)
    named = [name for name in axes.get_legend_handles_labels()[1] if name]
    if named:
        axes.legend(
            loc="upper left",
            bbox_to_anchor=(1.005, 1.06),
            frameon=False,
            fontsize=9,
            handlelength=1.6,
            markerscale=1.3,
            labelspacing=0.35,
            borderaxespad=0,
        )


def _scale(axes: Axes, panel: Panel) -> None:
    values = [y for line in panel.lines for _, y in line.points]
    values += [sum(ys) for ys in _layers(panel.areas)] + [level.value for level in panel.levels]
    positive = [value for value in values if value > 0]
    most = max([*positive, panel.most or 0.0], default=0.0) or 1.0
    if panel.by_factors and positive and most / min(positive) > _LOG_FROM:
        axes.set_yscale("log")
        axes.set_ylim(min(positive) / 1.3, most * 1.5)
        axes.minorticks_off()
    else:
        axes.set_ylim(0, most * _ROOM_ABOVE)
        axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_formatter(FuncFormatter(_told))
    axes.grid()
    axes.set_ylabel(panel.axis)
    axes.yaxis.set_label_coords(-0.085, 0.5)


def _layers(areas: Sequence[Area]) -> list[tuple[float, ...]]:
    return list(zip(*([y for _, y in area.points] for area in areas), strict=True))


def _ends(shown: Sequence[Panel]) -> tuple[float, float]:
    """From zero to a little beyond the last point."""
    lines = [line.points for panel in shown for line in panel.lines]
    lines += [area.points for panel in shown for area in panel.areas]
    most = max((x for points in lines for x, _ in points), default=1.0)
    return 0.0, (most or 1.0) * 1.04


def _mark(axes: Axes, mark: Mark) -> None:
    if mark.low is not None and mark.high is not None:
        axes.axvspan(mark.low, mark.high, color=PALETTE[2], alpha=0.16, lw=0)
    quiet = mark.style == QUIETLY
    axes.axvline(mark.x, color=QUIET if quiet else INK, lw=0.8 if quiet else 1.2, ls=mark.style)


def _name_marks(axes: Axes, marks: Sequence[Mark], ends: tuple[float, float]) -> None:
    """Above the first panel; a name that would overlap stands higher, or is left out if quiet."""
    first, last = ends
    free_from = [0.0, 0.0]  # of the width, in each of two rows
    for mark in sorted(marks, key=lambda each: each.x):
        at = (mark.x - first) / (last - first)
        rows = [row for row, free in enumerate(free_from) if at >= free]
        if not mark.name or not rows or (mark.style == QUIETLY and rows[0]):
            continue
        axes.annotate(
            mark.name,
            (at, 1),
            xycoords=axes.transAxes,
            xytext=(0, 3 + _ROW_POINTS * rows[0]),
            textcoords="offset points",
            size=8.5,
        )
        free_from[rows[0]] = at + _CHARACTER * (len(mark.name) + 1)


def _told(value: float, _: int | None = None) -> str:
    return f"{value:,.0f}" if abs(value) >= _GROUPED_FROM else f"{value:.6g}"
