"""A page in Chinese has the headings, the code and the numbers of its English twin."""

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.docs.markdown import Page, pages

TWINS = [page for page in pages() if page.path.name.endswith(".zh.md")]
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_TARGET = re.compile(r"\]\([^)]*\)")


def english(page: Page) -> Page:
    """The page that this one translates."""
    return Page(page.path.with_name(page.path.name.replace(".zh.md", ".md")))


def numbers(page: Page) -> Counter[str]:
    """Every number of the page outside its code blocks and link targets, with its count."""
    return Counter(
        number for _, line in page.prose for number in _NUMBER.findall(_TARGET.sub("]", line))
    )


def test_what_newcomers_read_is_there_in_chinese() -> None:
    assert {english(page).path for page in TWINS} == {
        Path("README.md"),
        Path("docs/quickstart.md"),
        Path("docs/explanation/capacity.md"),
        Path("docs/reference/refusals.md"),
        Path("docs/how-to/load-test.md"),
    }


@pytest.mark.parametrize("page", TWINS, ids=lambda page: str(page.path))
def test_headings_agree(page: Page) -> None:
    assert [level for level, _ in page.headings] == [level for level, _ in english(page).headings]


@pytest.mark.parametrize("page", TWINS, ids=lambda page: str(page.path))
def test_code_blocks_are_the_same(page: Page) -> None:
    assert page.code_blocks == english(page).code_blocks


@pytest.mark.parametrize("page", TWINS, ids=lambda page: str(page.path))
def test_numbers_agree(page: Page) -> None:
    own, twin = numbers(page), numbers(english(page))
    assert (own - twin, twin - own) == (Counter(), Counter())


@pytest.mark.parametrize("page", TWINS, ids=lambda page: str(page.path))
def test_each_leads_to_the_other(page: Page) -> None:
    twin = english(page)
    assert twin.path.name in [target for _, target in page.links()]
    assert page.path.name in [target for _, target in twin.links()]
