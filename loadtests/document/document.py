"""What is told, without its looks: described once, shown as a page, on a terminal, as Markdown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar


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
    """`align` has a letter a column, l or r. `head` may be empty.

    The last cell of a row with fewer cells takes the place of those that are missing. `marked` are
    the rows that stand out, each with its sign, which may be "". `widest` is no row: its cells are
    as wide as any can get, so that rows which are shown one by one stand below each other.
    """

    kind: ClassVar[str] = "table"
    head: Sequence[str]
    align: str
    rows: Sequence[Sequence[str]]
    marked: Mapping[int, str] = field(default_factory=dict)
    widest: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Strip:
    """A whole in proportion, from parts each with its letter; where nothing can be drawn."""

    kind: ClassVar[str] = "strip"
    parts: Sequence[tuple[str, float]]


@dataclass(frozen=True, slots=True)
class Chart:
    """An <svg> element of ours (`Drawing.on_page`) and what it shows, in a sentence.

    `plain` is shown in its place where nothing can be drawn.
    """

    kind: ClassVar[str] = "chart"
    svg: str
    caption: str
    plain: Sequence[Strip | Table] = ()


Block = Paragraphs | Bullets | Table | Chart | Strip


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, empty for none, and what stands under it; `note` goes on where the title ends."""

    title: str
    blocks: Sequence[Block]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Document:
    """`lead` is the answer in sentences, the weightiest first."""

    lead: Sequence[str]
    sections: Sequence[Section]
