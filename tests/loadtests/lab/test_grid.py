"""A grid's cells by name, what counts as finished, and the page that shows them."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from loadtests.document.words import Language
from loadtests.lab.catalogue import ABLATIONS, NOISE, NOISY
from loadtests.lab.comparing.comparison import PolicyComparison
from loadtests.lab.comparing.difference import PairedDifference
from loadtests.lab.grid import command, inputs
from loadtests.lab.grid.file import read_grid
from loadtests.lab.grid.folder import Folder
from loadtests.lab.grid.inputs import inputs_of, one_x_inputs_of
from loadtests.lab.grid.markdown import markdown
from loadtests.lab.jobs import Cell, RunAll
from loadtests.lab.page.cells import FoundCell
from loadtests.lab.page.charts import gap
from loadtests.lab.page.page import page_of
from loadtests.lab.page.words import LabWords
from loadtests.lab.summary import PolicyRow
from serve.commands import cli
from tests.html_tags import Tags

GRIDS = Path(__file__).parents[3] / "configs" / "grids"
SMALL = GRIDS / "small.yaml"


def test_the_published_grid_has_twelve_cells_and_looks_at_four_closely() -> None:
    planned = read_grid(GRIDS / "published.yaml")
    assert len({each.name for each in planned}) == 12
    closely = [each for each in planned if each.trial.sweeps]
    assert len(closely) == 4
    assert all(set(each.tried) >= {*ABLATIONS, *NOISY, "oracle_a"} for each in closely)
    assert {each.cell.load for each in planned} == {0.8, 1.5, 2.5}
    assert all((each.cell.kv_tokens is None) == (each.cell.load != 1.5) for each in planned)
    assert {each.cell.cut.requests for each in planned} == {1400}


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("static_n: 48", "static_n: 48\nstatic_m: 1", "static_m: Extra inputs"),
        ("points:", "closely: [elsewhere]\npoints:", "closely: no cell elsewhere"),
        ("requests: 60", "requests: 1", "requests: Input should be greater"),
        ("footprint,off", "footprint,best", "no policy 'best'"),
        (", restricted_kv_tokens: 40000", "", "names no restricted_kv_tokens"),
        ("40000", "4000", "vLLM asks for max_model_len"),
    ],
)
def test_what_is_wrong_with_a_grid_is_said(
    old: str, new: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = SMALL.read_text().replace("../", f"{GRIDS.parent}/", 1).replace(old, new)
    path = tmp_path / "grid.yaml"
    path.write_text(text)
    assert cli.main(["lab", "grid", str(path), "--out", str(tmp_path / "out")]) == 2
    assert told in capsys.readouterr().err


def test_an_unknown_cell_is_named_with_those_there_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["lab", "grid", str(SMALL), "--out", str(tmp_path), "--only", "azure_conv-9x"]
    assert cli.main(words) == 2
    told = capsys.readouterr().err
    assert "no cell azure_conv-9x; there are azure_conv-0.8x, azure_conv-2.5x" in told


def test_a_cell_is_finished_for_the_same_inputs_alone(tmp_path: Path) -> None:
    first, second, _ = read_grid(SMALL)
    folder, inputs = Folder(tmp_path), inputs_of(first, seed=1)
    assert folder.cell(first.name, inputs) is None
    folder.keep_cell(first.name, inputs, {"rows": []})
    assert folder.cell(first.name, inputs) == {"cell": first.name, "inputs": inputs, "rows": []}
    longer = replace(first, cell=replace(first.cell, cut=replace(first.cell.cut, limit=61)))
    assert inputs_of(longer, seed=1) != inputs
    assert inputs_of(first, seed=2) != inputs
    assert inputs_of(second, seed=1) != inputs
    (tmp_path / f"{first.name}.json").write_text('{"inputs": "')
    assert folder.cell(first.name, inputs) is None


def test_paths_that_decide_a_result_or_only_tell_of_it_exist() -> None:
    root = Path(inputs.__file__).parents[3]
    assert [
        name for name in (*inputs._CODE, *inputs._TELLS_ONLY) if not (root / name).exists()
    ] == []


def test_cells_with_the_same_cache_share_their_one_x(tmp_path: Path) -> None:
    low, high, restricted = read_grid(SMALL)
    assert one_x_inputs_of(low) == one_x_inputs_of(high)
    assert one_x_inputs_of(low) != one_x_inputs_of(restricted)
    folder = Folder(tmp_path)
    folder.keep_one_x(low, one_x_inputs_of(low), 0.05)
    assert folder.one_x(high, one_x_inputs_of(high)) == 0.05
    assert folder.one_x(restricted, one_x_inputs_of(restricted)) is None


# -- table and page ----------------------------------------------------------------------------


def made(policy: str, share: float, n: int | None = None) -> PolicyRow:
    sizes = tuple((tokens, share, share) for tokens in (100, 400, 1600, 6400))
    return PolicyRow(
        policy=policy,
        n=n,
        offered=60,
        offered_per_s=2.0,
        goodput_per_s=2 * share,
        share_of_offered=share,
        share_of_accepted_in_slo=1.0,
        refused=3,
        preemptions=2,
        kv_used_mean=0.5,
        ttft_p95_s=1.0,
        tpot_p95_s=None,
        acceptance_by_size=sizes,
        jain_tenants=None,
        reasons={},
    )


def told_of(index: int, **more: PolicyRow) -> dict[str, Any]:
    planned = read_grid(SMALL)[index]
    rows = (made("footprint", 0.8), made("static", 0.5, 16), made("oracle_a", 0.85), *more.values())
    against = {
        "static": PairedDifference(0.3, 0.2, 0.4),
        "oracle_a": PairedDifference(-0.05, -0.1, -0.01),
    }
    sweep = (made("static", 0.5, 16), made("static", 0.1, 64)) if more else ()
    found = PolicyComparison(
        planned.cell, 0, rows, made("oracle_b", 0.9), 1.9, against, sweep=sweep
    )
    return {"cell": planned.name} | found.as_json()


def test_a_cell_without_a_one_x_stops_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def one_x(cell: Cell, _: RunAll, *, most: float) -> float:
        if cell.kv_tokens is not None:
            raise ValueError("1.0 x was not found")
        return most

    monkeypatch.setattr(command, "busy_scale", lambda _: 0.1)
    monkeypatch.setattr(command, "one_x", one_x)
    played = SimpleNamespace(as_json=lambda: told_of(0))
    monkeypatch.setattr(command, "compare", lambda *_, **__: played)
    assert cli.main(["lab", "grid", str(SMALL), "--out", str(tmp_path)]) == 2
    restricted = "azure_conv-1.5x-restricted"
    assert f"{restricted}, and what shares its 1.0 x: 1.0 x was not" in capsys.readouterr().err
    assert {each.stem for each in tmp_path.glob("azure_conv-*.json")} == {
        each.name for each in read_grid(SMALL) if each.name != restricted
    }


@pytest.fixture
def told() -> list[dict[str, Any]]:
    more = [*ABLATIONS, *NOISY]
    return [told_of(0), told_of(2, **{name: made(name, 0.7) for name in more})]


def test_the_gap_is_split_into_lengths_order_and_what_nobody_reaches(
    told: list[dict[str, Any]],
) -> None:
    split = gap(FoundCell(told[0]))
    assert tuple(split) == pytest.approx((80.0, 5.0, 5.0, 5.0))


def test_oracles_and_ablations_are_no_baselines(told: list[dict[str, Any]]) -> None:
    cell = FoundCell(told[1])
    assert cell.baselines == ["static"]
    assert [sigma for sigma, _ in cell.noise] == [0.0, *NOISE]
    assert cell.sweep == [(16, 50.0), (64, 10.0)]


def test_the_tables_name_every_cell_and_policy(told: list[dict[str, Any]]) -> None:
    text = markdown(told)
    for name in ("azure_conv-0.8x", "azure_conv-1.5x-restricted", "(16) 50.0", "no_kv_gate"):
        assert name in text
    assert "+30.0 [20.0, 40.0]" in text


def test_the_page_says_the_verdict_in_both_languages(told: list[dict[str, Any]]) -> None:
    page = page_of(told)
    assert "footprint serves 89% to 89% of what the best known schedule serves (2 cells)" in page
    assert "已知最佳调度" in page
    assert page.count("<svg") == 10, "five charts in two languages"
    sources = [attrs.get(name) or "" for _, attrs in Tags(page).found for name in ("src", "href")]
    assert not any(source.startswith("http") for source in sources), "it opens offline"


def test_a_page_of_one_plain_cell_has_no_charts_of_what_was_not_played() -> None:
    plain = told_of(0)
    del plain["cell"]
    page = page_of([plain])
    assert page.count("<svg") == 6
    assert "azure2023_conv-0.8x" in page


def test_both_languages_have_the_same_labels() -> None:
    assert LabWords.tables[Language.EN].keys() == LabWords.tables[Language.ZH].keys()
