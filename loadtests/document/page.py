"""One self-contained page in one or more languages; opens offline, light or dark as the reader's.

No address outside, and no script is needed: the language is switched by a radio button's state
alone. A page may ask the browser which language is its reader's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup


@dataclass(frozen=True, slots=True)
class Paragraphs:
    """Sentences, one below the other; `quiet` = small print."""

    kind: ClassVar[str] = "lines"
    lines: Sequence[str]
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class Bullets:
    """A list of sentences."""

    kind: ClassVar[str] = "bullets"
    items: Sequence[str]


@dataclass(frozen=True, slots=True)
class Table:
    """`align` has a letter a column, l or r; `marked` are the rows that stand out."""

    kind: ClassVar[str] = "table"
    head: Sequence[str]
    align: str
    rows: Sequence[Sequence[str]]
    marked: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Chart:
    """An <svg> element of ours (`Drawing.on_page`) and what it shows, in a sentence."""

    kind: ClassVar[str] = "chart"
    svg: str
    caption: str

    @property
    def markup(self) -> Markup:
        """The element as it is: drawn by us, its texts escaped by matplotlib."""
        return Markup(self.svg)  # noqa: S704 -- see above


@dataclass(frozen=True, slots=True)
class Tiles:
    """A few large numbers, each with its name."""

    kind: ClassVar[str] = "tiles"
    items: Sequence[tuple[str, str]]


Block = Paragraphs | Bullets | Table | Chart | Tiles


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, empty for none, and what stands under it."""

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True, slots=True)
class Edition:
    """The whole page in one language; `good` colours the verdict."""

    language: str
    language_name: str
    title: str
    verdict: str
    good: bool
    sections: Sequence[Section]
    footer: str


def page(editions: Sequence[Edition], *, shown: str, ask_browser: bool = False) -> str:
    """The page, `shown` (a language) first, or where `ask_browser` the reader's, or its ?lang=."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2").render(
        editions=editions, shown=shown, ask_browser=ask_browser
    )
