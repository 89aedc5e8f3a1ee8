"""What flags, profiles and traces come to."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from admission.planning.plan import Question, make_plan
from loadtests.plan.from_profile import read_profile
from loadtests.plan.question import question
from loadtests.plan.trace_file import read_trace
from serve.commands.cli import command_parser, main

ROOT = Path(__file__).resolve().parents[3]
PRODUCTION = str(ROOT / "configs" / "qwen3-32b-awq-8xa10.yaml")
SIMULATED = """
engine: {embedded_model: qwen3-32b, replicas: 2}
engine_args: {tensor_parallel_size: 4, max_model_len: 8192}
simulation: {gpu: A30, quantization: gptq, link: pcie4_p2p}
"""


def told(capsys: pytest.CaptureFixture[str], *flags: str) -> tuple[dict[str, Any], str]:
    """The JSON of a plan, and what stands on standard error."""
    assert main(["plan", *flags, "--json"]) == 0
    caught = capsys.readouterr()
    answer: dict[str, Any] = json.loads(caught.out)
    return answer, caught.err


# -- profiles ------------------------------------------------------------------------------


def test_a_simulated_profile_says_which_card_it_stands_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "sim.yaml"
    file.write_text(SIMULATED)
    answer, err = told(capsys, "--config", str(file))
    assert (answer["gpu"], answer["gpus"], answer["replicas"]) == ("A30", 8, 2)
    assert answer["engine"]["weights"] == "INT4"
    assert answer["links"] == {"taken": "pcie4_p2p", "assumed": False, "other": None}
    assert err == ""


def test_flags_win_over_the_simulation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "sim.yaml"
    file.write_text(SIMULATED)
    flags = ("--gpu", "l40s", "--quantization", "fp8", "--link", "pcie4", "--gpus", "4")
    answer, _ = told(capsys, "--config", str(file), *flags)
    assert (answer["gpu"], answer["gpus"], answer["engine"]["weights"]) == ("L40S", 4, "FP8")
    assert answer["links"]["taken"] == "pcie4"


def test_a_profile_without_a_card_is_planned_on_a10_and_says_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    answer, err = told(capsys, "--config", PRODUCTION)
    assert answer["gpu"] == "A10"
    assert err == "sluice plan: no --gpu given; A10 taken\n"


def test_the_admission_section_is_asked_for_settings_without_effect(
    capsys: pytest.CaptureFixture[str],
) -> None:
    answer, _ = told(capsys, "--config", PRODUCTION)
    assert "static.limit 48 is not read: the policy is footprint" in answer["no_effect"]
    alone = ("--model", "Qwen/Qwen3-8B", "--gpu", "a10", "--max-model-len", "8192")
    assert "static.limit" not in str(told(capsys, *alone)[0]["no_effect"])


def test_a_setting_that_the_profile_does_not_name_is_not_held_against_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "few.yaml"
    engine = "engine_args: {model: Qwen/Qwen3-8B, max_model_len: 8192}\n"
    file.write_text(engine + "admission: {queue: {max_tokens: 0, max_requests: 600}}\n")
    said = told(capsys, "--config", str(file))[0]["no_effect"]
    assert any(x.startswith("queue.max_requests 600") for x in said)
    assert "static.limit" not in str(said)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("engine_args: {model: 3}", "engine_args.model: 3 is not a text"),
        ("engine_args: {model: m}\nsimulation: {gpu: 10}", "simulation.gpu: 10 is not a text"),
        ("engine_args: {model: m}\nsimulation: [a10]", "simulation holds no keys"),
        ("engine_args: {model: m}\nadmission: {polcy: x}", "admission: polcy:"),
        ("http: {}", "expected a profile"),
        ("a: [", "while parsing"),
    ],
)
def test_a_bad_profile_is_one_clear_line(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    with pytest.raises(ValueError, match=says.replace("[", r"\[")) as caught:
        read_profile(file)
    assert str(file) in str(caught.value)


def test_an_unknown_link_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--config", PRODUCTION, "--link", "pcie6"]) == 2
    assert "nearest known: pcie" in capsys.readouterr().err


def test_a_simulation_on_the_cards_own_link_still_tells_the_second_guess(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "sim.yaml"
    file.write_text(SIMULATED.replace("pcie4_p2p", "pcie4"))
    links = told(capsys, "--config", str(file))[0]["links"]
    assert (links["taken"], links["assumed"]) == ("pcie4", True)
    assert links["other"]["name"] == "pcie4_p2p"


# -- traces --------------------------------------------------------------------------------


def trace(folder: Path, text: str, name: str = "t.csv") -> Path:
    file = folder / name
    file.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return file


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
def test_a_trace_is_read_plain_and_packed(tmp_path: Path, name: str) -> None:
    text = "timestamp_s,prompt_tokens,output_tokens,client_id\n0,100,10,a\n4,300,30,b\n"
    read = read_trace(trace(tmp_path, text, name), max_model_len=1000)
    assert (read.isl_tokens, read.osl_tokens, read.prompts) == (200, 20, (100, 300))
    assert read.offered_per_s == 0.5


def test_a_trace_without_times_has_no_rate(tmp_path: Path) -> None:
    read = read_trace(trace(tmp_path, "output_tokens,prompt_tokens\n10,100\n"), max_model_len=1000)
    assert (read.isl_tokens, read.osl_tokens, read.offered_per_s) == (100, 10, None)


def test_a_plan_tells_what_a_trace_adds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = "".join(f"{i},{500 + i},{100 + i}\n" for i in range(100))
    file = trace(tmp_path, "timestamp_s,prompt_tokens,output_tokens\n" + rows)
    work = told(capsys, "--config", PRODUCTION, "--workload", str(file))[0]["workload"]
    assert (work["name"], work["requests"], work["longest_tokens"]) == ("t.csv", 100, 798)
    assert work["isl_tokens"] < work["held_tokens"] < work["isl_tokens"] + work["osl_tokens"]
    assert work["held_sd_tokens"] > 0
    assert main(["plan", "--config", PRODUCTION, "--workload", str(file), "-v"]) == 0
    assert "arrivals: 1.01 requests/s" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("prompt_tokens,output_tokens\n1,2\n3,x\n", "t.csv:3: output_tokens 'x' is not a number"),
        ("prompt_tokens,output_tokens\n0,2\n", "t.csv:2: prompt_tokens '0' is not a number of at"),
        ("prompt_tokens,output_tokens\n5\n", "t.csv:2: output_tokens '' is not a number"),
        ("prompt_tokens,n\n1,2\n", "t.csv:1: no column output_tokens"),
        ("", "t.csv:1: no column prompt_tokens and no output_tokens"),
        ("prompt_tokens,output_tokens\n", "t.csv: no request below the first line"),
        ("timestamp_s,prompt_tokens,output_tokens\nnan,1,1\n", "t.csv:2: timestamp_s 'nan'"),
        ("prompt_tokens,output_tokens\n99999,1\n", "t.csv: no request fits max_model_len 1000"),
    ],
)
def test_a_bad_trace_names_file_and_line(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ValueError, match=r"t\.csv") as caught:
        read_trace(trace(tmp_path, text), max_model_len=1000)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("t.csv.gz", b"plain", "Not a gzipped file"),
        ("t.csv.gz", gzip.compress(b"prompt_tokens" * 99, mtime=0)[:30], "ended before"),
        ("t.csv", b"\xff\xfe\x00", "not text"),
        ("missing.csv", None, "No such file"),
    ],
)
def test_a_file_that_is_no_trace_ends_with_2(
    tmp_path: Path,
    name: str,
    content: bytes | None,
    says: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / name
    if content is not None:
        file.write_bytes(content)
    assert main(["plan", "--config", PRODUCTION, "--workload", str(file)]) == 2
    caught = capsys.readouterr()
    assert str(file) in caught.err
    assert says in caught.err


# -- measured step times ---------------------------------------------------------------------------


def asked(flags: list[str]) -> Question:
    args = command_parser().parse_args(["plan", *flags])
    return question(args, read_profile(args.config))


CALIBRATED = """\
engine_args:
  model: Qwen/Qwen3-0.6B
  dtype: float32
  max_model_len: 4096
  kv_cache_memory_bytes: 1073741824
step_time:
  fixed_s: 0.1
  prefill_token_s: 0.004
  decode_sequence_s: 0.003
"""


def test_measured_step_times_take_the_place_of_the_cards(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(CALIBRATED)
    plan = make_plan(asked(["--config", str(file), "--slo", "tpot_p95<=200ms"]))
    decode = plan.load.limits["decode"]
    assert decode.concurrency is not None
    # 100 ms + 3 ms for each, and the prompts between: fewer than 33 keep 200 ms
    assert 5 < decode.concurrency < 33
    assert plan.question.is_measured
    assert plan.memory.budget.kv.expected == 1 << 30


def test_they_are_of_no_other_engine(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(CALIBRATED)
    for changed in (["--tensor-parallel-size", "2"], ["--quantization", "awq"]):
        assert not asked(["--config", str(file), *changed]).is_measured
    assert asked(["--config", str(file), "--max-num-seqs", "7"]).is_measured


def test_a_step_time_that_is_no_number_is_told(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(CALIBRATED.replace("0.004", "fast"))
    with pytest.raises(ValueError, match=r"step_time\.prefill_token_s: 'fast' is not a number"):
        asked(["--config", str(file)])
