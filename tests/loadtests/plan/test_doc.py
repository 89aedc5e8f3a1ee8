"""docs/reference/plan.md shows what the command prints, and names every flag."""

import json
import re
from pathlib import Path

import pytest

from serve.commands.cli import main

ROOT = Path(__file__).resolve().parents[3]
DOC = (ROOT / "docs" / "reference" / "plan.md").read_text(encoding="utf-8")


PROFILE = str(ROOT / "configs" / "qwen3-32b-awq-8xa10.yaml")


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("output", ["--model", "Qwen/Qwen3-32B", "--gpu", "a10", "--gpus", "8"]),
        ("output -v", ["--config", PROFILE, "--gpu", "a10", "-v"]),
    ],
)
def test_the_document_shows_what_the_command_prints(
    name: str, flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", *flags]) == 0
    shown = re.search(rf"<!-- {name}: begin.*?```\n(.*?)```\n<!-- {name}: end", DOC, re.DOTALL)
    assert shown is not None
    assert shown.group(1) == capsys.readouterr().out


def test_every_key_of_the_json_is_in_the_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--model", "Qwen/Qwen3-32B", "--gpu", "a10", "--json"]) == 1
    keys = json.loads(capsys.readouterr().out)
    assert {key for key in keys if f"`{key}`" not in DOC} == set()


def test_every_flag_is_in_the_document(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["plan", "--help"])
    flags = set(re.findall(r"--[a-z-]+", capsys.readouterr().out)) - {"--help"}
    assert len(flags) > 20
    assert {flag for flag in flags if flag not in DOC} == set()
