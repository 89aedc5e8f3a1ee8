"""How every chart looks, and how a drawing becomes SVG for a page, or a file."""

import io
import re
import warnings

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.collections import Collection
from matplotlib.colors import to_hex, to_rgba_array
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.style import context

# Stand-ins that no chart uses otherwise: a page draws them in its own light or dark colours.
INK, FAINT, GROUND = "#010203", "#010204", "#010205"
_ON_PAGE = {INK: "var(--ink)", FAINT: "var(--faint)", GROUND: "var(--ground)"}
_ON_PAPER = {INK: "#222222", FAINT: "#c8c8c8", GROUND: "#ffffff"}
# Told apart on white and on black, also without red and green (after Okabe and Ito, 2008).
PALETTE = ("#1f86c8", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9")
QUIET = "#8c8c8c"
# Chinese faces of macOS, Windows and Linux behind the plain ones of each.
_FACES = (
    "system-ui, -apple-system, 'Segoe UI', 'Helvetica Neue', Arial, 'PingFang SC',"
    " 'Microsoft YaHei', 'Noto Sans CJK SC', 'Source Han Sans SC', 'WenQuanYi Zen Hei', sans-serif"
)
_STYLE = {
    "svg.fonttype": "none",  # text stays text: small, searchable, in the reader's own face
    "font.family": "DejaVu Sans",  # matplotlib's own: measures are the same on every machine
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "grid.color": FAINT,
    "grid.linewidth": 0.5,
    "hatch.linewidth": 0.8,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.major.size": 0,
    "ytick.minor.size": 0,
}


styled = context(_STYLE)  # decorates every function that draws
_TITLE_INCHES = 0.3
_DOTS_PER_INCH = 144  # of pictures in pixels; has no bearing on SVG


class Drawing:
    """One chart on one or more pairs of axes; made, filled and written inside `styled`.

    Sizes, margins (left, right, top, bottom) and the `gap` between panels are in inches, so that no
    text is measured: Chinese could not be, the face it is shown in is the reader's. Panels stand
    one below the other over one x axis and share the height; `axes` is the first.
    """

    def __init__(
        self,
        *,
        inches: tuple[float, float],
        margins: tuple[float, float, float, float],
        panels: int = 1,
        gap: float = 0.0,
    ) -> None:
        self._inches, self._margins, self._gap = inches, margins, gap
        self.figure = Figure()
        FigureCanvasSVG(self.figure)
        self.axes: Axes = self.figure.add_axes((0, 0, 1, 1))
        below = [self.figure.add_axes((0, 0, 1, 1), label=f"{n}") for n in range(1, panels)]
        self.panels = (self.axes, *below)
        for axes in below:
            axes.sharex(self.axes)
        self._place(0)

    def _place(self, above: float) -> None:
        """Sizes as asked for, with so many inches more at the top."""
        (width, height), (left, right, top, bottom) = self._inches, self._margins
        tall, count = height + above, len(self.panels)
        self.figure.set_size_inches(width, tall)
        each = (height - top - bottom - self._gap * (count - 1)) / count
        for place, axes in enumerate(reversed(self.panels)):
            low = bottom + place * (each + self._gap)
            axes.set_position((left / width, low / tall, 1 - (left + right) / width, each / tall))

    @styled
    def on_page(self, name: str) -> str:
        """An <svg> element as wide as its place, in the page's colours; `name` keeps ids apart."""
        svg = self._svg(name)
        svg = svg[svg.index("<svg") :]
        svg = re.sub(r' (?:width|height)="[\d.]+pt"', "", svg, count=2)
        svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", svg)
        return _coloured(svg, _ON_PAGE)

    @styled
    def in_file(self, name: str, title: str) -> str:
        """A file of its own, dark on white, with its title inside."""
        self._title(title)
        return _coloured(self._svg(name), _ON_PAPER)

    @styled
    def as_png(self, title: str) -> bytes:
        """The same as pixels; the drawing's own colours are gone afterwards. No Chinese."""
        self._title(title)
        _paint(self.figure)
        out = io.BytesIO()
        FigureCanvasAgg(self.figure)
        self.figure.savefig(out, format="png", metadata={"Software": None})
        return out.getvalue()

    def _title(self, title: str) -> None:
        self._place(_TITLE_INCHES)
        self.figure.set_facecolor(GROUND)
        self.figure.set_dpi(_DOTS_PER_INCH)
        self.figure.text(0.01, 0.995, title, va="top", weight="bold", size=11)

    def _svg(self, name: str) -> str:
        """The same bytes for the same chart: no date, ids from `name`."""
        out = io.StringIO()
        with context({"svg.hashsalt": name}), warnings.catch_warnings():
            # matplotlib's own face has no Chinese; the reader's has, and it is the one that draws
            warnings.filterwarnings("ignore", message="Glyph .* missing from font")
            self.figure.savefig(out, format="svg", metadata={"Date": None})
        return re.sub(r"'DejaVu Sans'(?:, [^;\"]*)?", _FACES, out.getvalue())


def _coloured(svg: str, colours: dict[str, str]) -> str:
    for stand_in, colour in colours.items():
        svg = svg.replace(stand_in, colour)
    return svg


_OF_LINES = ("color", "markerfacecolor", "markeredgecolor")
_OF_SHAPES = ("facecolor", "edgecolor")


def _paint(figure: Figure) -> None:
    """Paper's colours in place of the stand-ins, artist by artist."""
    for artist in figure.findobj():
        kinds = _OF_SHAPES if isinstance(artist, Patch | Collection) else _OF_LINES
        for kind in kinds:
            _repaint(artist, kind)


def _repaint(artist: Artist, kind: str) -> None:
    get, put = (getattr(artist, f"{verb}_{kind}", None) for verb in ("get", "set"))
    if get is None or put is None:
        return
    now = [to_hex(colour, keep_alpha=True) for colour in to_rgba_array(get())]
    new = [_ON_PAPER.get(colour[:7], colour[:7]) + colour[7:] for colour in now]
    if new != now:
        put(new if isinstance(artist, Collection) else new[0])
