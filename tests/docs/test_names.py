"""What the documents name of the gateway is there: metrics, reasons, settings."""

import re

import pytest

from admission.terms.decision import Reason
from serve.observability.metrics_doc import metrics_table
from tests.docs.markdown import ROOT, Page, pages

_METRIC = re.compile(r"\bsluice_[a-z_]+[a-z]\b")
_METRICS = {name for row in metrics_table() for name in _METRIC.findall(row.split("|")[1])}
_OF_HISTOGRAMS = re.compile(r"_(bucket|count|sum)$")


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.path))
def test_every_metric_that_is_named_exists(page: Page) -> None:
    if page.path.name == "CHANGELOG.md":
        return  # under the names of its day
    named = {_OF_HISTOGRAMS.sub("", name) for line in page.lines for name in _METRIC.findall(line)}
    assert named - _METRICS == set()


@pytest.mark.parametrize(
    "name", ["reference/refusals.md", "reference/refusals.zh.md", "how-to/troubleshoot.md"]
)
def test_every_reason_has_its_row(name: str) -> None:
    page = next(page for page in pages() if str(page.path) == f"docs/{name}")
    rows = {line.split("|")[1].strip(" `") for line in page.lines if line.startswith("| `")}
    assert set(map(str, Reason)) - rows == set()


_QUOTED = re.compile(r"`([a-z][^`]* [^`]* [^`]*)`")  # three words and more: a line of the log
_JOINED = re.compile(r"\"\s*\n\s*f?\"")  # one text written on several lines


def test_log_lines_that_are_explained_are_written() -> None:
    page = next(page for page in pages() if page.path.name == "troubleshoot.md")
    first_cells = [line.split("|")[1] for line in page.lines if line.startswith("| ")]
    lines = [line for cell in first_cells for line in _QUOTED.findall(cell)]
    code = "".join(
        _JOINED.sub("", file.read_text("utf-8")) for file in (ROOT / "serve").rglob("*.py")
    )
    assert len(lines) > 5
    parts = [part.strip() for line in lines for part in re.split(r"\b[NM]\b", line)]
    assert [part for part in parts if part not in code] == []


def test_the_plan_that_pages_show_is_the_one_that_is_checked() -> None:
    """`tests/loadtests/plan/test_doc.py` holds the first block of plan.md against the command."""
    by_name = {str(page.path): page for page in pages()}
    shown = next(
        block for block in by_name["docs/reference/plan.md"].code_blocks if "8 x A10 can" in block
    )
    how_to = [
        block.replace("   ", "") for block in by_name["docs/how-to/choose-hardware.md"].code_blocks
    ]
    assert shown in how_to
    assert "8 x A10 can carry 176 requests of chat at once" in " ".join(shown.split())
    for readme in ("README.md", "README.zh.md"):
        assert any("176" in line for line in by_name[readme].lines), "run tests.docs.picture"
