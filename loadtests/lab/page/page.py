"""The lab's results as a page in English and Chinese; one cell and many have the same sections."""

from collections.abc import Mapping, Sequence
from typing import Any

from loadtests.document.document import Chart, Document, Paragraphs, Section, Table
from loadtests.document.page import Edition, page
from loadtests.document.words import Language
from loadtests.lab.page.cells import FoundCell, policies_of
from loadtests.lab.page.charts import CHARTS
from loadtests.lab.page.tables import ablations, against, asked, gaps, ours, shares
from loadtests.lab.page.verdict import verdict
from loadtests.lab.page.words import LabWords


def page_of(told: Sequence[Mapping[str, Any]]) -> str:
    """The HTML for cells in the lab's JSON form."""
    cells = [FoundCell(each) for each in told]
    editions = [_edition(cells, LabWords(language)) for language in Language]
    return page(editions, shown=Language.EN, ask_browser=True)


def _edition(cells: Sequence[FoundCell], words: LabWords) -> Edition:
    said, good = verdict(cells, words)
    return Edition(
        language=words.language,
        language_name=words("language"),
        title=words("title"),
        told=Document([said], _sections(cells, words) if cells else []),
        good=good,
        footer=words("footer"),
    )


def _sections(cells: Sequence[FoundCell], words: LabWords) -> list[Section]:
    first = cells[0].first
    sections = [
        _charted("shares", cells, words, shares(cells, words)),
        Section(
            words("title_ours", first=first),
            [ours(cells, words), Paragraphs([words("ours_note")], True)],
        ),
        Section(
            words("title_against", first=first),
            [
                against(cells, policies_of(cells)[1:], words),
                Paragraphs([words("against_note")], True),
            ],
        ),
        _charted("sizes", cells, words),
        _charted("gap", cells, words, gaps(cells, words)),
        _charted("noise", cells, words),
        _charted("sweep", cells, words),
    ]
    if any(cell.ablations for cell in cells):
        told = Paragraphs([words("ablations_note")], True)
        sections.append(Section(words("title_ablations"), [ablations(cells, words), told]))
    sections.append(Section(words("title_asked"), [asked(cells, words)]))
    return [section for section in sections if section.blocks]


def _charted(
    name: str, cells: Sequence[FoundCell], words: LabWords, table: Table | None = None
) -> Section:
    """A section with a chart; empty if there is nothing to draw."""
    chart = CHARTS[name]
    if not chart.wanted(cells):
        return Section(words(f"title_{name}"), [])
    svg = chart.draw(cells, words).on_page(f"{name}-{words.language}")
    drawn = Chart(svg, words(f"{name}_caption", first=cells[0].first))
    return Section(words(f"title_{name}"), [drawn] if table is None else [drawn, table])
