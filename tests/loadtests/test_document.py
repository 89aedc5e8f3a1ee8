"""One document, shown three ways: a terminal's 80 columns, Markdown, a page."""

import pytest

from loadtests.document.columns import COLUMNS, cut, left, right, width, wrapped
from loadtests.document.document import (
    Bullets,
    Chart,
    Document,
    Paragraphs,
    Section,
    Strip,
    Table,
)
from loadtests.document.markdown import as_markdown
from loadtests.document.page import Edition, page
from loadtests.document.terminal import as_text, table_lines

TABLE = Table(["layout", "at once", "binds"], "lrl", [["TP 8", "49", "kv"], ["TP 4", "178", ""]])
TOLD = Document(
    ["It fits.", "And so on."],
    [
        Section("Four limits", [TABLE, Paragraphs(["One is enough."])], " (all engines)"),
        Section("", [Bullets(["first", "second"])]),
    ],
)


def test_a_chinese_character_takes_two_columns() -> None:
    assert width("KV 缓存") == 7
    assert left("缓存", 6) + "|" == "缓存  |"
    assert right("缓存", 6) == "  缓存"
    assert cut("缓存缓存", 8) == "缓存缓存"
    assert cut("缓存缓存", 7) == "缓存..."


def test_chinese_is_wrapped_between_characters_and_no_line_begins_with_a_comma() -> None:
    lines = wrapped("显存" * 30 + "，" + "并发" * 30)
    assert all(width(line) <= COLUMNS for line in lines)
    assert not any(line.strip().startswith("，") for line in lines)
    assert "".join(line.strip() for line in lines) == "显存" * 30 + "，" + "并发" * 30


def test_words_are_wrapped_whole() -> None:
    assert wrapped("word " * 20, first="- ", rest="  ")[1] == "  word word word word word"


def test_a_word_longer_than_a_line_is_torn() -> None:
    path = "/a/long/folder" * 12
    lines = wrapped(f"file {path}", first="  ", rest="    ")
    assert max(map(width, lines)) <= COLUMNS
    assert "".join(line.strip() for line in lines) == f"file{path}"


def test_text_keeps_some_columns_beside_a_wide_table() -> None:
    *_, row = table_lines(Table(["n", "why"], "rl", [["1" * 90, "word " * 5]]))
    assert row == " " * 92 + "word"


def test_a_terminal_shows_headings_in_capitals_and_what_is_below_them_indented() -> None:
    assert as_text(TOLD).split("\n") == [
        "It fits.",
        "And so on.",
        "",
        "FOUR LIMITS (all engines)",
        "  layout  at once  binds",
        "  TP 8         49  kv",
        "  TP 4        178",
        "  One is enough.",
        "",
        "- first",
        "- second",
    ]


def test_a_sign_stands_in_the_margin_and_a_short_row_ends_in_one_long_cell() -> None:
    table = Table(
        ["layout", "at once", "/s"], "lrr", [["TP 8", "49", "1"], ["TP 1", "no"]], {0: "*"}
    )
    assert table_lines(table, "  ") == [
        "  layout  at once  /s",
        "* TP 8         49   1",
        "  TP 1    no",
    ]
    (_, long) = table_lines(Table(["a", "b", "c"], "lrr", [["x", "word " * 30]]))
    assert width(long) == COLUMNS
    assert long.endswith("...")


def test_long_text_in_the_last_column_is_wrapped_below_itself() -> None:
    _, second, third, *_ = table_lines(Table(["a", "why"], "ll", [["x", "word " * 30]]))
    assert second.startswith("x  word")
    assert third.startswith("   word")
    assert width(second) <= COLUMNS


def test_a_wide_table_has_its_head_broken_before_its_names_are_cut() -> None:
    head = ["policy", *["of all offered"] * 6]
    rows = [["x" * 20, *["100.0"] * 6]]
    lines = table_lines(Table(head, "l" + "r" * 6, rows))
    assert [line.split() for line in lines[:2]] == [["of", "all"] * 6, ["policy", *["offered"] * 6]]
    lines = table_lines(Table(head, "l" + "r" * 6, [["x" * 40, *["100.0"] * 6]]))
    assert max(map(width, lines)) == COLUMNS
    assert "xxx...  " in lines[-1]


def test_no_number_is_cut() -> None:
    rows = [["1,234,567,890"] * 12]
    assert table_lines(Table(["n"] * 12, "r" * 12, rows))[1].split() == rows[0]


def test_rows_shown_one_by_one_stand_below_each_other() -> None:
    rows = [["1", "2 s"], ["123", "1.234 s"]]
    shown = [table_lines(Table((), "rr", [row], widest=["10,000", "1.234 s"])) for row in rows]
    assert len({width(line) for (line,) in shown}) == 1


def test_where_nothing_can_be_drawn_a_strip_of_letters_stands_for_the_chart() -> None:
    strip = Strip([("a", 4.0), ("b", 3.0), ("c", -1.0)])
    shown = as_text(Document([], [Section("", [Chart("<svg></svg>", "It is short.", [strip])])]))
    assert shown == f"|{'a' * 40}{'b' * 20}|"


def test_markdown_has_the_first_sentence_in_bold_and_tables_with_pipes() -> None:
    assert as_markdown(TOLD) == (
        "**It fits.**\n\nAnd so on.\n\n### Four limits (all engines)\n\n"
        "| layout | at once | binds |\n| --- | ---: | --- |\n"
        "| TP 8 | 49 | kv |\n| TP 4 | 178 |  |\n"
        "\nOne is enough.\n\n- first\n- second\n"
    )


@pytest.mark.parametrize(
    "shown",
    [
        '<p class="verdict good">It fits.</p>',
        "<p>And so on.</p>",
        '<h2>Four limits<span class="quiet"> (all engines)</span></h2>',
        '<th class="r">at once</th>',
        '<tr class=marked><td class="l">* TP 8</td>',
        '<td class="l" colspan="2">no</td>',
        "<li>second</li>",
        "<dd>5</dd><dt>answered</dt>",
    ],
)
def test_a_page_shows_the_same_document(shown: str) -> None:
    rows = [["TP 8", "49", "1"], ["TP 1", "no"]]
    table = Table(TABLE.head, "lrr", rows, {0: "*"})
    told = Document(TOLD.lead, [*TOLD.sections, Section("", [table])])
    edition = Edition("en", "English", "A plan", told, True, "footer", [("5", "answered")])
    found = page([edition], shown="en")
    assert shown in "".join(line.strip() for line in found.splitlines())
