"""A fleet grid's file, and what is refused of it before an engine is made."""

from pathlib import Path

import pytest

from loadtests.document.markdown import as_markdown
from loadtests.lab.fleet.file import read_fleet_grid
from loadtests.lab.fleet.tables import document
from serve.commands import cli

GRIDS = Path(__file__).parents[4] / "configs" / "grids"
SHIPPED = GRIDS / "fleet.yaml"


@pytest.mark.parametrize("name", ["fleet.yaml", "fleet-weights.yaml"])
def test_shipped_grids_are_read(name: str) -> None:
    planned = read_fleet_grid(GRIDS / name)
    assert len({each.cell.name for each in planned}) == len(planned)
    assert all(each.arms for each in planned)


def test_a_fleet_is_judged_by_as_many_requests_for_each_engine() -> None:
    parts = {each.cell.engines: each.cell.part for each in read_fleet_grid(SHIPPED)}
    assert parts[16].requests == 16 * 75
    assert parts[2].requests == 300  # at least


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("dynamo, promise]\nschedules", "dynamo, best]\nschedules", "no arm 'best'; there are"),
        ("chats: {chats: {}}", "chats: {}", "give it a trace or chats"),
        ("two: {workloads: [chats,", "two: {workloads: [chat,", "cells.two: no workload chat"),
        ("turns: 1,", "turns: 0,", "turns: Input should be greater"),
        ("azure2023_conv.csv.gz}", "none.csv}", "none.csv: No such file"),
    ],
)
def test_what_is_wrong_with_a_grid_is_said(
    old: str, new: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = SHIPPED.read_text()
    assert old in text
    text = text.replace(old, new).replace("../", f"{GRIDS.parent}/", 1)
    (tmp_path / "grid.yaml").write_text(text)
    words = ["lab", "fleet", str(tmp_path / "grid.yaml"), "--out", str(tmp_path / "out")]
    assert cli.main(words) == 2
    assert told in capsys.readouterr().err


def test_the_table_names_the_best_schedule_and_what_ours_has_of_it() -> None:
    def row(arm: str, share: float) -> dict[str, object]:
        return {"arm": arm, "share_of_offered": share, "ttft_p95_s": 1.5, "cached_ratio": 0.5}

    told = {
        "cell": "four-chats-4-1.5x",
        "workload": "chats",
        "engines": 4,
        "load": 1.5,
        "rows": [row("promise", 0.72), row("random", 0.5)],
        "schedules": [row("oracle_0", 0.7), row("oracle_desks", 0.8)],
    }
    text = as_markdown(document([told]))
    assert "| four-chats | 4 | 1.5 x | 72.0 | 50.0 | 80.0 | 0.900 |" in text
