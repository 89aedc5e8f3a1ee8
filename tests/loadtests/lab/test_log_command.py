"""`sluice lab replay`: what it refuses before an engine is loaded, what it tells without one."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from admission.terms.settings import Settings
from loadtests.lab.replay.stand_in import differences, playable
from serve.commands import cli
from serve.profile.settings import parse_profile
from tests.loadtests.lab.fake_virtual_engine import SHAPE
from tests.loadtests.lab.log_cases import SHADOW, crowd, decision, end, logged, write

PROFILE = Path(__file__).parents[3] / "configs" / "sim-qwen3-32b-8xa10.yaml"
REAL = """
engine_args: {model: /models/some, max_model_len: 8192}
"""
CALIBRATED = REAL + "step_time: {fixed_s: 0.02, prefill_token_s: 0.0004}\n"


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    assert cli.main(["lab", "replay", *map(str, words)]) == 2
    return capsys.readouterr().err


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return write(tmp_path / "decisions.jsonl", [decision(), end()])


def test_a_log_alone_is_told_at_once(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["lab", "replay", str(log)]) == 0
    told = capsys.readouterr().out
    assert told.startswith("decisions.jsonl: 1 request, 2023-11-14 22:13:20 to ")
    assert "100.0 %" in told


def test_a_shadow_log_alone_tells_what_shadow_mode_saw(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "d.jsonl", logged(crowd(), SHADOW))
    assert cli.main(["lab", "replay", str(path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["shadow"]["requests"] == 120
    assert [run["name"] for run in told["runs"]] == ["logged"]


def test_a_missing_log_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    told = refused(capsys, "nowhere.jsonl")
    assert told == "sluice lab: nowhere.jsonl: No such file or directory\n"


def test_new_settings_need_an_engine(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--admission needs --config" in refused(capsys, log, "--admission", "a.yaml")


def test_a_real_engine_that_was_not_calibrated_is_refused(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "real.yaml").write_text(REAL)
    told = refused(capsys, log, "--config", tmp_path / "real.yaml")
    assert "step_time is missing" in told
    assert "sluice calibrate" in told


def test_a_calibrated_engine_is_stood_in_for_with_the_sizes_of_the_log() -> None:
    profile = parse_profile(CALIBRATED, "real.yaml")
    on = playable(profile, SHAPE, None)
    assert on.kv_tokens == SHAPE.capacity_tokens
    assert on.profile.engine.simulated
    assert on.profile.engine_args["block_size"] == SHAPE.block_tokens
    assert on.profile.engine_args["max_num_seqs"] == SHAPE.max_sequences
    assert on.profile.step_time.coefficients == profile.step_time.coefficients
    assert on.profile.admission.settings() == Settings()


def test_an_old_log_needs_the_cache_and_the_sizes_told() -> None:
    profile = parse_profile(CALIBRATED, "real.yaml")
    with pytest.raises(ValueError, match="say --kv-tokens"):
        playable(profile, None, None)
    with pytest.raises(ValueError, match=r"engine_args.block_size: the log names no engine"):
        playable(profile, None, 100_000)
    with pytest.raises(ValueError, match="vLLM asks for max_model_len, 8192"):
        playable(profile, None, 100)


def test_another_engine_than_the_logged_one_is_said() -> None:
    other = replace(SHAPE, max_sequences=4, usable_blocks=7)
    assert differences(SHAPE, other) == ["max_sequences 16 in the log, 4 here"]
