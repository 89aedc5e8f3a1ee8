"""The files of `sluice plan`: a profile ready to save, a page, charts."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from serve.commands.cli import main
from serve.models.catalogue import find_config
from serve.profile.settings import load_profile
from tests.html_tags import Tags

ROOT = Path(__file__).resolve().parents[3]
PRODUCTION = ROOT / "configs" / "qwen3-32b-awq-8xa10.yaml"
CASE = ["plan", "--model", "Qwen/Qwen3-32B", "--quantization", "awq", "--gpu", "a10", "--gpus", "8"]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("page") / "plan.html"
    assert main([*CASE, "--html", str(file)]) == 0
    return file.read_text(encoding="utf-8")


# -- --write -------------------------------------------------------------------------------


def test_the_written_profile_loads_and_is_the_recommendation(tmp_path: Path) -> None:
    file = tmp_path / "new.yaml"
    assert main([*CASE, "--write", str(file)]) == 0
    profile = load_profile(file)
    assert profile.engine.replicas == 4
    assert profile.engine_args["tensor_parallel_size"] == 2
    assert profile.engine_args["model"] == "Qwen/Qwen3-32B-AWQ"
    assert profile.engine_args["quantization"] == "awq_marlin"
    assert profile.admission.ttft_deadline_s == 5
    assert (
        profile.admission.prefill_backlog_max_tokens > profile.engine_args["max_num_batched_tokens"]
    )


def test_every_value_of_the_written_profile_is_explained(tmp_path: Path) -> None:
    file = tmp_path / "new.yaml"
    assert main([*CASE, "--write", str(file)]) == 0
    lines = file.read_text(encoding="utf-8").splitlines()
    valued = [line for line in lines if re.match(r" +\w+: \S", line)]
    assert len(valued) > 30
    assert [line for line in valued if not re.search(r"# \S", line)] == []
    assert max(map(len, lines)) <= 104


def test_a_plan_of_the_written_profile_carries_what_was_promised(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "new.yaml"
    assert main([*CASE, "--write", str(file), "--json"]) == 0
    promised = yaml.safe_load(capsys.readouterr().out)["recommended"]
    assert main(["plan", "--config", str(file), "--gpu", "a10", "--json"]) == 0
    kept = yaml.safe_load(capsys.readouterr().out)
    assert (kept["gpus"], kept["replicas"]) == (8, 4)
    assert kept["sustained_concurrency"] == promised["sustained_concurrency"]


def test_what_the_plan_does_not_decide_is_taken_over_from_the_profile(tmp_path: Path) -> None:
    file = tmp_path / "new.yaml"
    assert main(["plan", "--config", str(PRODUCTION), "--gpu", "a10", "--write", str(file)]) == 0
    old, new = load_profile(PRODUCTION), load_profile(file)
    assert new.server_args == old.server_args
    assert new.http == old.http
    assert new.engine_args["reasoning_parser"] == "qwen3"
    assert new.admission.queue == old.admission.queue
    assert new.access.api_keys_file is not None
    assert new.access.api_keys_file.resolve() == (ROOT / "configs" / "api-keys.yaml").resolve()


def test_a_file_that_is_there_is_replaced_only_by_force(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("mine")
    assert main([*CASE, "--write", str(file)]) == 2
    assert "exists; give another name, or --force" in capsys.readouterr().err
    assert file.read_text() == "mine"
    assert main([*CASE, "--write", str(file), "--force"]) == 0
    assert load_profile(file).engine.replicas == 4


def test_nothing_is_written_where_nothing_fits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "none.yaml"
    asked = ["--model", "meta-llama/Llama-2-70b-hf", "--gpu", "t4", "--gpus", "1"]
    assert main(["plan", *asked, "--write", str(file)]) == 1
    assert not file.exists()
    assert "not written: nothing fits" in capsys.readouterr().err


def test_a_base_that_is_no_good_profile_leaves_no_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = tmp_path / "base.yaml"
    base.write_text("engine_args: {model: Qwen/Qwen3-8B}\nhttp: {port: 99999}\n")
    file = tmp_path / "new.yaml"
    assert main(["plan", "--config", str(base), "--gpu", "a10", "--write", str(file)]) == 2
    assert "makes no good profile" in capsys.readouterr().err
    assert not file.exists()


# -- --html and --svg ----------------------------------------------------------------------


def test_the_page_needs_nothing_from_outside(page: str) -> None:
    tags = Tags(page).found
    assert {tag for tag, _ in tags}.isdisjoint({"script", "link", "img", "iframe", "object"})
    links = [value for _, attrs in tags for name, value in attrs.items() if name.endswith("href")]
    assert all((link or "").startswith("#") for link in links)
    assert "url(http" not in page
    assert "@import" not in page


def test_the_verdict_stands_first_in_both_languages(page: str) -> None:
    english = page.index('<article lang="en">')
    chinese = page.index('<article lang="zh">')
    assert 0 < page.index("8 x A10 can carry 176 requests", english) - english < 300
    assert 0 < page.index("8 x A10 可同时承载 176 个", chinese) - chinese < 300


def test_the_page_holds_what_the_terminal_tells(page: str) -> None:
    for told in (
        "Memory of one GPU",
        "a prompt alone takes",
        "Concurrency over context length",
        "wide TP buys memory",
        "The rule says 77",
        "prefill_backlog_max_tokens",
        "Settings without effect",
        "经验估算给出 77",
        "不起作用的设置",
    ):
        assert told in page
    assert page.count("<svg") == 6


def test_ids_of_a_page_are_unique_and_every_reference_is_found(page: str) -> None:
    tags = Tags(page).found
    ids = [attrs["id"] for _, attrs in tags if attrs.get("id")]
    assert len(ids) == len(set(ids))
    wanted = {attrs["xlink:href"] for _, attrs in tags if "xlink:href" in attrs}
    wanted |= set(re.findall(r"url\((#[^)]+)\)", page))
    assert wanted <= {f"#{name}" for name in ids}


def test_the_page_takes_the_readers_light_or_dark(page: str) -> None:
    assert "prefers-color-scheme: dark" in page
    assert "var(--ink)" in page
    assert "#010203" not in page


def test_lang_says_which_language_is_shown_first(tmp_path: Path) -> None:
    file = tmp_path / "plan.html"
    assert main([*CASE, "--lang", "zh", "--html", str(file)]) == 0
    page = file.read_text(encoding="utf-8")
    assert 'id="to-zh" checked' in page
    assert page.startswith('<!doctype html>\n<html lang="zh">')


def test_a_name_that_looks_like_markup_is_shown_as_it_is(tmp_path: Path) -> None:
    config = tmp_path / "<b>.json"
    config.write_text(json.dumps(find_config("Qwen/Qwen3-8B")))
    file = tmp_path / "plan.html"
    assert main(["plan", "--model", str(config), "--gpu", "l40s", "--html", str(file)]) == 0
    assert "&lt;b&gt;.json" in file.read_text(encoding="utf-8")


def test_a_page_of_what_does_not_fit_says_so(tmp_path: Path) -> None:
    file = tmp_path / "plan.html"
    asked = ["--model", "meta-llama/Llama-2-70b-hf", "--gpu", "t4", "--gpus", "1"]
    assert main(["plan", *asked, "--html", str(file)]) == 1
    assert "Does not fit:" in file.read_text(encoding="utf-8")


def test_a_card_of_unknown_speed_has_its_page_too(tmp_path: Path) -> None:
    file = tmp_path / "plan.html"
    asked = ["--model", "Qwen/Qwen3-32B", "--gpu", "mi300x", "--gpus", "2"]
    assert main(["plan", *asked, "--html", str(file)]) == 0
    assert "speed of this card is not known" in file.read_text(encoding="utf-8")


def test_the_charts_are_files_of_their_own_and_the_same_every_time(tmp_path: Path) -> None:
    once, twice = tmp_path / "a" / "deeper", tmp_path / "b"
    for folder in (once, twice):
        assert main([*CASE, "--lang", "zh", "--svg", str(folder)]) == 0
    names = sorted(file.name for file in once.iterdir())
    assert names == ["context.svg", "limits.svg", "memory.svg"]
    for name in names:
        text = (once / name).read_text(encoding="utf-8")
        assert ElementTree.fromstring(text).tag.endswith("svg")  # noqa: S314 -- our own file
        assert "var(--" not in text
        assert text == (twice / name).read_text(encoding="utf-8")
    assert "预填充" in (once / "limits.svg").read_text(encoding="utf-8")


def test_a_file_that_cannot_be_written_ends_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*CASE, "--html", str(tmp_path / "no" / "folder.html")]) == 2
    assert "No such file or directory" in capsys.readouterr().err
