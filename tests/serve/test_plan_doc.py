"""docs/plan.md shows what the command prints, and names every flag."""

import re
from pathlib import Path

import pytest

from serve.cli import main

ROOT = Path(__file__).resolve().parents[2]
DOC = (ROOT / "docs" / "plan.md").read_text(encoding="utf-8")


def test_the_document_shows_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    profile = str(ROOT / "configs" / "qwen3-32b-awq-8xa10.yaml")
    assert main(["plan", "--config", profile, "--gpu", "a10"]) == 0
    shown = re.search(r"<!-- output: begin.*?```\n(.*?)```\n<!-- output: end", DOC, re.DOTALL)
    assert shown is not None
    assert shown.group(1) == capsys.readouterr().out


def test_every_flag_is_in_the_document(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["plan", "--help"])
    flags = set(re.findall(r"--[a-z-]+", capsys.readouterr().out)) - {"--help"}
    assert len(flags) > 20
    assert {flag for flag in flags if flag not in DOC} == set()
