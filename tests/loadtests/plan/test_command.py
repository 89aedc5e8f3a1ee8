"""`sluice plan` from the outside: exit codes, keys, columns, and what it does not import."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from serve.commands.cli import main

ROOT = Path(__file__).resolve().parents[3]
CASE = ["plan", "--model", "Qwen/Qwen3-32B", "--quantization", "awq", "--gpu", "a10", "--gpus", "8"]


def told(capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, Any]:
    assert main([*CASE, "--json", *more]) == 0
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    return answer


def test_the_json_has_the_keys_that_stay(capsys: pytest.CaptureFixture[str]) -> None:
    answer = told(capsys)
    for key in (
        "kv_bytes_per_token",
        "kv_bytes_per_token_per_gpu",
        "weights_gib_per_gpu",
        "activation_gib_per_gpu",
        "available_kv_gib_per_gpu",
        "kv_capacity_tokens",
        "sustained_concurrency",
    ):
        assert set(answer[key]) == {"low", "expected", "high"}, key
    assert set(answer["limits"]) == {"kv", "slots", "prefill", "decode"}
    for limit in answer["limits"].values():
        assert set(limit) == {"concurrency", "rate_per_s", "note"}
    assert answer["binding_limit"] in answer["limits"]
    assert answer["kv_bytes_per_token"]["expected"] == 262_144
    assert answer["max_concurrency_at_max_model_len"] > 1
    assert answer["layouts"]
    assert answer["no_effect"] == []
    assert {"what", "unit", "rule", "model", "error_ratio"} == set(answer["rule_of_thumb"][0])
    assert answer["recommended"]["engine_args"]["tensor_parallel_size"] == 2


def test_logged_kv_memory_gives_exact_tokens(capsys: pytest.CaptureFixture[str]) -> None:
    answer = told(capsys, "--available-kv-gib", "17", "--max-model-len", "32768")
    assert answer["kv_capacity_tokens"] == {"low": 557056, "expected": 557056, "high": 557056}


def test_flags_reach_the_engine(capsys: pytest.CaptureFixture[str]) -> None:
    more = ("--tensor-parallel-size", "4", "--max-num-seqs", "64", "--vllm-version", "0.19.0")
    answer = told(capsys, *more, "--isl", "1000", "--osl", "100")
    assert answer["replicas"] == 2
    assert answer["limits"]["slots"]["concurrency"] == 128
    assert answer["engine"]["gpu_memory_utilization"] == 0.9
    assert answer["workload"]["isl_tokens"] == 1000


def test_the_terminal_keeps_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    for workload in ("chat", "rag", "long-context", "code"):
        assert main([*CASE, "--workload", workload]) == 0
        short = capsys.readouterr().out.splitlines()
        assert main([*CASE, "--workload", workload, "-v"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert [line for line in (*short, *lines) if len(line) > 80] == []
        assert len(short) <= 8
    assert "have not been measured" in "\n".join(lines)


def test_a_profile_is_a_plan_and_flags_override_it(capsys: pytest.CaptureFixture[str]) -> None:
    profile = str(ROOT / "configs" / "qwen3-32b-awq-8xa10.yaml")
    assert main(["plan", "--config", profile, "--max-num-seqs", "32", "-v"]) == 0
    out = capsys.readouterr().out
    assert "8 x A10" in out
    assert "max_num_seqs 32, max_num_batched_tokens 512" in out


def test_what_does_not_fit_ends_with_1_and_names_what_does(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["plan", "--model", "Qwen/Qwen3-32B", "--gpu", "a10", "--gpus", "1"]) == 1
    assert "nearest that fits: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--gpu", "a11"], "nearest known: A10"),
        (["--vllm-version", "0.99"], "nearest known: 0.33"),
        (["--quantization", "awk"], "nearest known: awq"),
        (["--workload", "chats"], "nearest known: chat"),
        (["--model", "Qwen/Qwen3-33B"], "nearest known: Qwen/Qwen3-32B"),
        (["--slo", "fast"], "valid: ttft_p95<=2s"),
        (["--gpus", "0"], "not positive"),
        (["--isl", "0"], "at least one token"),
        (["--tensor-parallel-size", "3"], "GPUs do not split"),
        (["--available-kv-gib", "-1"], "not positive"),
        (["--config", "no-such-file.yaml"], "No such file"),
    ],
)
def test_bad_arguments_end_with_2_and_say_what_would_be_valid(
    flags: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*CASE, *flags]) == 2
    caught = capsys.readouterr()
    assert says in caught.err
    assert caught.out == ""


def test_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["plan", "--help"])
    assert "success>=99%" in "".join(capsys.readouterr().out.split())


def test_a_plan_imports_no_engine_no_web_framework_and_nothing_that_draws() -> None:
    program = (
        "import sys; from serve.commands.cli import main; main(sys.argv[1:]);"
        "heavy = {'vllm', 'ray', 'torch', 'fastapi', 'pydantic', 'numpy', 'matplotlib', 'jinja2'};"
        "print(sorted(heavy & {*sys.modules}))"
    )
    done = subprocess.run(  # noqa: S603 -- our own interpreter and program
        [sys.executable, "-c", program, *CASE, "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.endswith("\n[]\n")
