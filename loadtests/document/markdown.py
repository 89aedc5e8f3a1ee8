"""A document as Markdown, for a job's summary or to be pasted; its charts are left out."""

from collections.abc import Iterator, Sequence

from loadtests.document.document import Block, Bullets, Document, Paragraphs, Table


def as_markdown(told: Document) -> str:
    """The first sentence in bold; all parts an empty line apart."""
    parts = [f"**{each}**" if place == 0 else each for place, each in enumerate(told.lead)]
    for section in told.sections:
        parts += [f"### {section.title}{section.note}"] if section.title else []
        parts += [part for block in section.blocks for part in _parts(block)]
    return "".join(f"{part}\n\n" for part in parts)[:-1]


def _parts(block: Block) -> Iterator[str]:
    match block:
        case Paragraphs(lines):
            yield from lines
        case Bullets(items):
            yield "\n".join(f"- {item}" for item in items)
        case Table():
            yield "\n".join(f"| {' | '.join(line)} |" for line in _lines(block))


def _lines(table: Table) -> Iterator[Sequence[str]]:
    yield table.head
    yield ["---:" if side == "r" else "---" for side in table.align]
    yield from table.rows
