"""Every relative link of every Markdown file leads to a file, and every anchor to a heading."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.docs.markdown import ROOT, Page, pages, slug


def _wrong(page: Page, target: str) -> str | None:
    """What is wrong with a link of `page`, or None."""
    name, _, anchor = target.partition("#")
    path = Path(os.path.normpath(page.path.parent / name)) if name else page.path
    if not (ROOT / path).exists():
        return f"no such file: {path}"
    if anchor and path.suffix == ".md" and anchor not in Page(path).anchors:
        return f"no such heading in {path}: #{anchor}"
    return None


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.path))
def test_every_link_leads_somewhere(page: Page) -> None:
    found = ((number, target, _wrong(page, target)) for number, target in page.links())
    assert [f"{page.path}:{n}: {t}: {wrong}" for n, t, wrong in found if wrong] == []


def test_every_document_is_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    ahead = [Path("README.md")]
    while ahead:
        path = ahead.pop()
        if path in reached:
            continue
        reached.add(path)
        for _, target in Page(path).links():
            name = target.partition("#")[0]
            to = Path(os.path.normpath(path.parent / name))
            if name.endswith(".md") and (ROOT / to).exists():
                ahead.append(to)
    documents = {page.path for page in pages() if page.path.parts[0] == "docs"}
    assert documents - reached == set()


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [
        ("The limit: `sluice limit`", "the-limit-sluice-limit"),
        ("Yesterday's traffic, another configuration", "yesterdays-traffic-another-configuration"),
        ("`access.rules.NAME`", "accessrulesname"),
        ("[A link](page.md) & more", "a-link--more"),
        ("拒绝与重试", "拒绝与重试"),
    ],
)
def test_anchors_are_those_that_github_makes(heading: str, anchor: str) -> None:
    assert slug(heading) == anchor


_CODE = re.compile(r"`((?:admission|configs|deploy|docs|loadtests|serve|tests)/[\w./-]+\w)`")
_WRITTEN = {Path("CHANGELOG.md")}  # what was, under the names of its day


@pytest.mark.parametrize(
    "page", [page for page in pages() if page.path not in _WRITTEN], ids=lambda page: str(page.path)
)
def test_every_file_that_is_named_exists(page: Page) -> None:
    named = {(n, name) for n, line in page.prose for name in _CODE.findall(line)}
    gone = sorted(f"{page.path}:{n}: {name}" for n, name in named if not (ROOT / name).exists())
    assert gone == []


def test_every_document_that_code_names_exists() -> None:
    listed = subprocess.run(
        ["git", "grep", "-noIE", r"docs/[a-z/-]+\.md", "--", ":!*.md", ":!*.csv", ":!*.json"],  # noqa: S607
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    assert [line for line in listed if not (ROOT / line.split(":")[2]).exists()] == []
