"""`sluice lab play` refuses what it cannot play before an engine is loaded; its table fits."""

from pathlib import Path

import pytest

from admission.speed.linear_steps import StepCoefficients
from admission.terms.settings import Settings
from loadtests.lab.catalogue import EngineFacts, Variant, door_of
from loadtests.lab.comparing.comparison import PolicyComparison, comparison
from loadtests.lab.comparing.table import table
from loadtests.lab.jobs import Cell, Job, JobResult, workload_of
from loadtests.lab.playing.door import Bounds, Door
from loadtests.lab.playing.play import play_one
from loadtests.lab.playing.workload import Cut
from loadtests.lab.summary import PolicyRow, row
from serve.commands import cli
from tests.loadtests.lab.fake_virtual_engine import SHAPE, FakeVirtualEngine

PROFILE = Path(__file__).parents[3] / "configs" / "sim-qwen3-32b-8xa10.yaml"


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    path = tmp_path / "trace.csv"
    lines = [f"{n},100,10" for n in range(300)]
    path.write_text("\n".join(["timestamp_s,prompt_tokens,output_tokens", *lines]))
    return path


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    assert cli.main(["lab", "play", *map(str, words)]) == 2
    return capsys.readouterr().err


def test_a_missing_trace_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    told = refused(capsys, "nowhere.csv", "--config", PROFILE)
    assert told == "sluice lab: nowhere.csv: No such file or directory\n"


def test_wrong_columns_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "t.csv"
    path.write_text("timestamp_s,prompt_tokens\n0,5\n")
    told = refused(capsys, path, "--config", PROFILE)
    assert "no column output_tokens" in told


def test_an_unknown_policy_is_named_with_those_there_are(
    trace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = refused(capsys, trace, "--config", PROFILE, "--policies", "off,best")
    assert "no policy 'best'; there are footprint, off" in told


def test_too_many_to_warm_up_is_said(trace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = refused(capsys, trace, "--config", PROFILE, "--warm-up", 300)
    assert "fewer than 2 are left to be counted" in told


def test_a_cache_below_one_request_is_refused(
    trace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = refused(capsys, trace, "--config", PROFILE, "--kv-tokens", 1000)
    assert "vLLM asks for max_model_len, 32768" in told


def test_a_profile_with_a_real_engine_is_refused(
    trace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = refused(capsys, trace, "--config", PROFILE.with_name("smollm2-cpu.yaml"))
    assert "engine.kind" in told


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--trace", "t.csv", "--config", "p.yaml"], "--trace is a command: sluice lab play FILE"),
        (["--grid", "g.yaml", "--out", "f"], "--grid is a command: sluice lab grid FILE"),
        (["--log", "d.jsonl"], "--log is a command: sluice lab replay FILE"),
        (["play", "t.csv"], "the following arguments are required: --config"),
        (["grid", "g.yaml"], "the following arguments are required: --out"),
        (["replay", "d.jsonl", "--policies", "off"], "unknown argument --policies off"),
    ],
)
def test_what_a_command_does_not_take_is_said_with_what_does(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["lab", *words])
    assert ended.value.code == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--rate-scale", "--ttft", "--limit-requests", "--jobs"])
def test_numbers_that_are_none_end_with_2(flag: str, trace: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["lab", "play", str(trace), "--config", str(PROFILE), flag, "-1"])
    assert ended.value.code == 2


def test_records_that_cannot_be_written_are_refused_before_the_runs(
    trace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = refused(capsys, trace, "--config", PROFILE, "--records", trace.parent)
    assert told.endswith("Is a directory\n")


def test_the_best_setting_stands_for_its_policy_beside_the_oracle(trace: Path) -> None:
    cell = Cell(PROFILE, trace, Cut(warm_up=10, limit=200, rate_scale=4.0), Bounds(1.0, 0.2))
    variants = {"off": (Variant("off"),), "static": (Variant("static", 1), Variant("static", 16))}
    facts = EngineFacts(SHAPE, Settings(), cell.bounds, StepCoefficients(0.1, 0, 0, 0), 1000.0)
    results = [
        result_of(Job(cell, variant), door_of(variant, facts))
        for tried in variants.values()
        for variant in tried
    ]
    found = comparison(cell, variants, results, seed=1)
    assert [(row.policy, row.n) for row in found.rows] == [("off", None), ("static", 16)]
    assert found.oracle.share_of_offered == 1.0
    assert found.fraction(found.rows[0]) == 1.0
    told = found.as_json()
    assert [row["fraction_of_oracle"] for row in told["rows"]] == [1.0, 1.0, 1.0]
    assert told["off_served_more_than"]["static"]["share"] == 0.0
    records = list(found.records())
    assert len(records) == 400
    assert records[0]["policy"] == "off"
    assert records[0]["in_slo"]


def result_of(job: Job, door: Door) -> JobResult:
    workload = workload_of(job.cell.trace, job.cell.cut)
    played = play_one(workload, FakeVirtualEngine(), door, job.cell.bounds)
    found = row(job.variant.policy, job.variant.n, workload, played, job.cell.bounds)
    return JobResult(job, found, played)


def test_the_table_is_no_wider_than_80_columns() -> None:
    wide = PolicyRow(
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
    text = table(PolicyComparison(cell, 1234, (wide,), wide, most=12.0))
    assert max(map(len, text.splitlines())) <= 80, text
