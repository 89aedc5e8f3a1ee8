"""A document on a terminal of 80 columns; only the numbers of a table may need more."""

from collections.abc import Iterator, Sequence

from loadtests.document.columns import COLUMNS, cut, left, right, width, wrapped
from loadtests.document.document import Block, Bullets, Chart, Document, Paragraphs, Section, Table

_INDENT = "  "  # below a heading
_GAP = "  "  # between columns of a table
_STRIP_COLUMNS = 60
_NAME_COLUMNS = 12  # of a name at the begin of a row are left where the table is too wide


def as_text(told: Document) -> str:
    """The lead, then the sections, an empty line apart."""
    parts = [wrapped(*told.lead), *map(_section, told.sections)]
    return "\n\n".join("\n".join(lines) for lines in parts if lines)


def _section(section: Section) -> list[str]:
    heading = [section.title.upper() + section.note] if section.title else []
    indent = _INDENT if section.title else ""
    return wrapped(*heading) + [line for each in section.blocks for line in _lines(each, indent)]


def _lines(block: Block, indent: str) -> list[str]:
    match block:
        case Paragraphs(lines):
            return wrapped(*lines, first=indent, rest=f"{indent}  ")
        case Bullets(items):
            return wrapped(*items, first=f"{indent}- ", rest=f"{indent}  ")
        case Table():
            return table_lines(block, indent)
        case Chart(plain=plain):
            return [line for each in plain for line in _lines(each, indent)]
    whole = sum(size for _, size in block.parts)
    strip = "".join(letter * round(_STRIP_COLUMNS * size / whole) for letter, size in block.parts)
    return [f"{indent}|{strip[:_STRIP_COLUMNS]}|"]


def table_lines(table: Table, indent: str = "") -> list[str]:
    """Columns as wide as what is widest in them; long text in the last one is wrapped.

    Where that is too wide, the head is broken in two lines, then names in the first column are
    cut; text in the place of several cells is cut, too. A sign stands in the margin of its row.
    """
    heads, widths = _fitted(table, COLUMNS - len(indent))
    lines = [line for head in heads for line in _row(head, table.align, widths, indent)]
    for place, row in enumerate(table.rows):
        margin = left(table.marked.get(place, ""), len(indent))
        lines += _row(row, table.align, widths, margin)
    return lines


def _fitted(table: Table, room: int) -> tuple[list[Sequence[str]], list[int]]:
    """The lines of the head, and what each column takes."""
    heads: list[Sequence[str]] = [table.head] if table.head else []
    widths = _widths(table, heads)
    if _total(table, widths) > room:
        heads = [line for line in zip(*map(_halves, table.head), strict=True) if any(line)]
        widths = _widths(table, heads)
    over = max(0, _total(table, widths) - room)
    if table.align[0] == "l":
        widths[0] = max(widths[0] - over, min(widths[0], _NAME_COLUMNS))
    return heads, widths


def _halves(name: str) -> tuple[str, str]:
    """The name in two lines that are as narrow as can be; a single word stands in the lower one."""
    words = name.split()
    splits = [(" ".join(words[:n]), " ".join(words[n:])) for n in range(len(words) or 1)]
    return min(splits, key=lambda lines: max(map(width, lines)))


def _widths(table: Table, heads: Sequence[Sequence[str]]) -> list[int]:
    rows = [*heads, table.widest, *table.rows]
    own = [row if len(row) == len(table.align) else row[:-1] for row in rows]
    return [
        max((width(row[n]) for row in own if n < len(row)), default=0)
        for n in range(len(table.align))
    ]


def _total(table: Table, widths: Sequence[int]) -> int:
    """Without the text of a last column, which is wrapped."""
    fixed = widths[:-1] if table.align[-1] == "l" else widths
    return sum(fixed) + len(_GAP) * (len(widths) - 1)


def _row(cells: Sequence[str], align: str, widths: Sequence[int], margin: str) -> Iterator[str]:
    *before, last = cells
    line = margin
    for cell, side, columns in zip(before, align, widths, strict=False):
        line += (right if side == "r" else left)(cut(cell, columns), columns) + _GAP
    if len(cells) < len(align):
        yield line + cut(last, COLUMNS - width(line))
    elif align[-1] == "r":
        yield (line + right(last, widths[-1])).rstrip()
    else:
        yield from wrapped(last, first=line, rest=" " * width(line))
