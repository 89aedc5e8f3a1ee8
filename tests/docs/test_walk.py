"""The walk through the code names files and what is in them; both exist."""

import ast
import re
from pathlib import Path

import pytest

from tests.docs.markdown import ROOT, Page

_STOP = re.compile(r"`([\w/]+\.py)`:\s+`(\w+(?:\.\w+)?)`")
_TEXT = "\n".join(line for _, line in Page(Path("docs/explanation/walk.md")).prose)
STOPS = sorted(set(_STOP.findall(_TEXT)))


def names_in(file: Path) -> set[str]:
    """Functions and classes of a module, methods with their class before them."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    names = {each.name for each in tree.body if isinstance(each, (*functions, ast.ClassDef))}
    for each in tree.body:
        if isinstance(each, ast.ClassDef):
            names |= {f"{each.name}.{m.name}" for m in each.body if isinstance(m, functions)}
    return names


def test_the_walk_has_stops() -> None:
    assert len(STOPS) > 20


@pytest.mark.parametrize(("file", "name"), STOPS)
def test_every_stop_exists(file: str, name: str) -> None:
    assert name in names_in(ROOT / file)
