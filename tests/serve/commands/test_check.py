"""`sluice check-config`: exit status, summary, JSON for Serve. vLLM's parser is a fake here."""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from serve.commands import check
from serve.profile.settings import AdmissionSection, load_profile, parse_admission

CONFIGS = Path(__file__).parents[3] / "configs"
GOOD = "engine: {embedded_model: smollm2-135m-instruct, gpus_per_replica: 0}\n"


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Mapping[str, Any]]:
    """What was given to vLLM's parser: engine_args, server_args, and so on for each call."""
    given: list[Mapping[str, Any]] = []
    monkeypatch.setattr(check, "_vllm_parser", lambda: lambda *sections: given.extend(sections))
    return given


def run(file: Path, *flags: str) -> int:
    wanted = {name: name in flags for name in ("admission", "user_config")}
    return check.main(argparse.Namespace(file=str(file), **wanted))


def written(folder: Path, text: str) -> Path:
    file = folder / "p.yaml"
    file.write_text(text)
    return file


@pytest.mark.usefixtures("seen")
@pytest.mark.parametrize("name", ["smollm2-cpu", "qwen3-32b-awq-8xa10"])
def test_a_good_profile_is_summed_up_in_80_columns(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = CONFIGS / f"{name}.yaml"
    assert run(file) == 0
    out = capsys.readouterr().out
    title, *lines = out.splitlines()
    assert title == str(file)
    assert lines[-1] == "OK"
    assert max(map(len, lines)) <= 80
    assert load_profile(file).admission.hash() in out


@pytest.mark.usefixtures("seen")
def test_the_summary_names_engine_model_address_and_changed_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(written(tmp_path, f"{GOOD}admission: {{ttft_deadline_s: 10}}\n"))
    out = capsys.readouterr().out
    assert "vllm, 1 replica, on the CPU" in out
    assert "smollm2-135m-instruct" in out
    assert "http://127.0.0.1:8000" in out
    assert "10 seconds  (default 30)" in out
    assert "vLLM's defaults" in out


def test_vllm_hears_its_arguments_and_the_embedded_models_name(
    tmp_path: Path, seen: list[Mapping[str, Any]]
) -> None:
    run(written(tmp_path, f"{GOOD}engine_args: {{seed: 1}}\nserver_args: {{max_log_len: 5}}\n"))
    assert seen == [{"seed": 1, "model": "smollm2-135m-instruct"}, {"max_log_len": 5}]


def test_what_vllm_refuses_is_told_with_the_file(tmp_path: Path) -> None:
    def refuse(*_: Mapping[str, Any]) -> None:
        raise ValueError("engine_args.sede: vLLM has no such argument")

    file = written(tmp_path, f"{GOOD}engine_args: {{sede: 1}}\n")
    assert check.check(file, parse=refuse) == [
        f"{file}: engine_args.sede: vLLM has no such argument"
    ]


@pytest.mark.usefixtures("seen")
def test_a_bad_profile_ends_with_2_and_its_problems_on_standard_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(written(tmp_path, "http: {port: 0}\n")) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 2
    assert "http.port: 0 is not valid" in err


@pytest.mark.usefixtures("seen")
def test_a_good_profile_has_no_problems(tmp_path: Path) -> None:
    assert check.check(written(tmp_path, GOOD)) == []


@pytest.mark.usefixtures("seen")
def test_user_config_is_json_that_serve_can_be_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path, f"{GOOD}admission: {{mode: shadow}}\n")
    assert run(file, "user_config") == 0
    assert parse_admission(json.loads(capsys.readouterr().out)) == load_profile(file).admission


def test_an_admission_section_can_stand_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], seen: list[Mapping[str, Any]]
) -> None:
    assert run(written(tmp_path, "policy: worst_case\n"), "admission") == 0
    out = capsys.readouterr().out
    assert "worst_case  (default footprint)" in out
    assert "engine " not in out
    assert seen == []


def test_a_bad_admission_section_alone_names_its_own_keys(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path, "policy: best\n")
    assert run(file, "admission") == 2
    assert capsys.readouterr().err == (
        f"{file}:1: policy: 'best' is not valid; give one of footprint, worst_case, static\n"
    )


def test_a_section_alone_may_be_printed_for_serve(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(written(tmp_path, "mode: off\n"), "admission", "user_config")
    assert json.loads(capsys.readouterr().out) == AdmissionSection(mode="off").mapping()  # type: ignore[arg-type] # text, as in YAML


@pytest.mark.usefixtures("seen")
def test_keys_that_are_not_there_yet_are_a_note(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(written(tmp_path, f"{GOOD}access: {{api_keys_file: keys.yaml}}\n")) == 0
    assert "API keys file keys.yaml is not there yet" in capsys.readouterr().out


@pytest.mark.usefixtures("seen")
def test_keys_that_are_there_must_be_readable_as_keys(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "keys.yaml").write_text("- {tenant: a}\n")
    assert run(written(tmp_path, f"{GOOD}access: {{api_keys_file: keys.yaml}}\n")) == 2
    assert "API keys in" in capsys.readouterr().err


@pytest.mark.usefixtures("seen")
def test_answers_in_the_log_are_worth_a_note(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(written(tmp_path, f"{GOOD}server_args: {{enable_log_outputs: true}}\n"))
    assert "enable_log_outputs writes the text of answers" in capsys.readouterr().out
