"""`sluice lab` refuses what it cannot play before it loads an engine; its table fits a terminal."""

from pathlib import Path

import pytest

from serve import cli
from serve.lab.comparison import Comparison
from serve.lab.door import Bounds
from serve.lab.jobs import Cell
from serve.lab.summary import Row
from serve.lab.table import table
from serve.lab.workload import Cut

PROFILE = Path(__file__).parents[2] / "configs" / "sim-qwen3-32b-8xa10.yaml"


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    path = tmp_path / "trace.csv"
    lines = [f"{n},100,10" for n in range(300)]
    path.write_text("\n".join(["timestamp_s,prompt_tokens,output_tokens", *lines]))
    return path


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    assert cli.main(["lab", *map(str, words)]) == 2
    return capsys.readouterr().err


def test_a_missing_trace_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    told = refused(capsys, "--trace", "nowhere.csv", "--config", PROFILE)
    assert told == "sluice lab: nowhere.csv: No such file or directory\n"


def test_wrong_columns_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "t.csv"
    path.write_text("timestamp_s,prompt_tokens\n0,5\n")
    told = refused(capsys, "--trace", path, "--config", PROFILE)
    assert "no column output_tokens" in told


def test_an_unknown_policy_is_named_with_those_there_are(
    trace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = refused(capsys, "--trace", trace, "--config", PROFILE, "--policies", "off,best")
    assert "no policy 'best'; there are footprint, off" in told


def test_too_many_to_warm_up_is_said(trace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = refused(capsys, "--trace", trace, "--config", PROFILE, "--warm-up", 300)
    assert "fewer than 2 are left to be counted" in told


def test_a_cache_below_one_request_is_refused(
    trace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = refused(capsys, "--trace", trace, "--config", PROFILE, "--kv-tokens", 1000)
    assert "vLLM asks for max_model_len, 32768" in told


def test_a_profile_with_a_real_engine_is_refused(
    trace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = refused(capsys, "--trace", trace, "--config", PROFILE.with_name("smollm2-cpu.yaml"))
    assert "engine.kind" in told


@pytest.mark.parametrize("flag", ["--rate-scale", "--ttft", "--limit-requests", "--jobs"])
def test_numbers_that_are_none_end_with_2(flag: str, trace: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["lab", "--trace", str(trace), "--config", str(PROFILE), flag, "-1"])
    assert ended.value.code == 2


def test_the_table_is_no_wider_than_80_columns() -> None:
    row = Row(
        policy="queued_tokens",
        n=128_000,
        offered=1200,
        offered_per_s=12.345,
        goodput_per_s=11.234,
        share_of_offered=1.0,
        share_of_accepted_in_slo=1.0,
        refused=1200,
        preemptions=123_456,
        kv_used_mean=1.0,
        ttft_p95_s=None,
        tpot_p95_s=None,
        acceptance_by_size=((10, 0.5, 0.5),),
        jain_tenants=None,
        reasons={},
    )
    cell = Cell(PROFILE, Path("a_trace_with_a_long_name.csv.gz"), Cut(), Bounds(5.0, 0.2), 120_000)
    text = table(Comparison(cell, 1234, (row,), row, most=12.0))
    assert max(map(len, text.splitlines())) <= 80, text
