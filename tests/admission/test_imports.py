"""The import-linter contract names what admission must not import; this says what it may."""

import ast
import sys
from pathlib import Path

import admission

ALLOWED = sys.stdlib_module_names | {"numpy", "admission"}


def imported_by(file: Path) -> set[str]:
    """Top-level packages that `file` imports, at any depth of its code."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
    return found


def test_admission_imports_the_standard_library_and_numpy_only() -> None:
    room = Path(admission.__file__).parent
    strangers = {file.name: imported_by(file) - ALLOWED for file in room.rglob("*.py")}
    assert {name: found for name, found in strangers.items() if found} == {}
