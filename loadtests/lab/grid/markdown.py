"""The tables of a grid as Markdown, for docs/measurements/policies.md."""

from collections.abc import Mapping, Sequence
from typing import Any

from loadtests.document.document import Document, Section, Table
from loadtests.document.markdown import as_markdown
from loadtests.document.words import Language
from loadtests.lab.page.cells import FoundCell, policies_of
from loadtests.lab.page.tables import ablations, against, asked, gaps, ours, shares
from loadtests.lab.page.words import LabWords


def markdown(told: Sequence[Mapping[str, Any]]) -> str:
    """The tables; empty without cells."""
    cells, words = [FoundCell(each) for each in told], LabWords(Language.EN)
    if not cells:
        return ""
    first = cells[0].first
    parts = [
        (words("title_shares"), shares(cells, words)),
        (words("title_ours", first=first), ours(cells, words)),
        (words("title_against", first=first), against(cells, policies_of(cells)[1:], words)),
        (words("title_gap"), gaps(cells, words)),
        (words("title_noise"), _points(cells, "noise")),
        (words("title_sweep"), _points(cells, "sweep")),
        (words("title_ablations"), ablations(cells, words)),
        (words("title_asked"), asked(cells, words)),
    ]
    return as_markdown(
        Document([], [Section(title, [table]) for title, table in parts if table.rows])
    )


def _points(cells: Sequence[FoundCell], name: str) -> Table:
    """The curves of the cells that have one; a column per x."""
    found = [(cell.name, dict(getattr(cell, name))) for cell in cells if getattr(cell, name)]
    xs = sorted({x for _, points in found for x in points})
    rows = [
        [each, *(f"{points[x]:.1f}" if x in points else "-" for x in xs)] for each, points in found
    ]
    return Table(["", *(f"{x:g}" for x in xs)], "l" + "r" * len(xs), rows)
