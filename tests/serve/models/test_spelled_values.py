"""Values as vLLM takes them: check-config, the plan and a simulated engine read one number."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from admission.planning.memory.engine.spelled import engine_arguments, length, read_value, size
from serve.commands.cli import main
from tests.serve.models.test_model_file import CONFIG


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("32768", 32_768),
        ("32k", 32_000),
        ("32K", 32_768),
        ("25.6k", 25_600),
        ("1m", 1_000_000),
        ("2M", 2 << 20),
        ("10g", 10**10),
        ("10G", 10 << 30),
        (" 16K ", 16_384),
    ],
)
def test_sizes_have_the_suffixes_of_vllms_command_line(text: str, number: int) -> None:
    assert size(text) == number
    argparse_utils = pytest.importorskip("vllm.utils.argparse_utils")
    assert argparse_utils.human_readable_int(text) == number
    assert argparse_utils.human_readable_int_or_auto(text) == length(text)


@pytest.mark.parametrize("text", ["auto", "AUTO", "-1", " auto "])
def test_auto_is_a_length_alone(text: str) -> None:
    assert length(text) == -1
    with pytest.raises(ValueError, match="is not a number"):
        read_value("max_num_batched_tokens", text if "auto" in text.lower() else "auto")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_model_len", "32 k"),
        ("max_model_len", "1.5K"),
        ("max_model_len", 32_768.0),
        ("max_model_len", True),
        ("max_num_seqs", "1k"),
        ("tensor_parallel_size", "two"),
        ("gpu_memory_utilization", "90%"),
        ("quantization", 4),
        ("enforce_eager", "yes"),
        ("kv_cache_memory_bytes", "10GiB"),
    ],
)
def test_what_vllm_does_not_take_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=name):
        read_value(name, value)


def test_what_is_not_counted_is_said_once() -> None:
    given = {"enable_lora": True, "speculative_config": {"method": "mtp"}, "data_parallel_size": 1}
    found = engine_arguments(given | {"max_model_len": "32K"})
    assert found.max_model_len == 32_768
    assert [what.split(" (")[1] for what in found.not_counted] == [
        "speculative_config)",
        "enable_lora)",
    ]


def _planned(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], engine_args: dict[str, Any]
) -> tuple[int, dict[str, Any], str]:
    model = tmp_path / "model"
    model.mkdir(exist_ok=True)
    (model / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    profile = tmp_path / "profile.yaml"
    sections = {"engine_args": {"model": str(model), **engine_args}}
    profile.write_text(yaml.safe_dump(sections), encoding="utf-8")
    status = main(["plan", "--config", str(profile), "--gpu", "l40s", "--json"])
    printed = capsys.readouterr()
    return status, json.loads(printed.out or "{}"), printed.err


@pytest.mark.parametrize(
    ("value", "tokens"), [("32k", 32_000), ("32K", 32_768), (16_384, 16_384), (-1, None)]
)
def test_a_plan_reads_a_profile_as_vllm_does(
    value: object, tokens: int | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = {"max_model_len": value, "kv_cache_memory_bytes": "10G", "enable_lora": True}
    status, plan, _ = _planned(tmp_path, capsys, args)
    assert status == 0
    assert plan["available_kv_gib_per_gpu"]["expected"] == 10
    if tokens is None:  # the longest that 10 GiB hold, at 131,072 bytes a token
        tokens = 81_920
    assert plan["engine"]["max_model_len"] == tokens
    assert [x for x in plan["warnings"] if x.startswith("not counted: adapters")]


def test_a_plan_refuses_what_vllm_refuses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, told = _planned(tmp_path, capsys, {"max_model_len": "32 thousand"})
    assert status == 2
    assert "engine_args.max_model_len" in told


def test_overrides_of_the_config_count(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = {"hf_overrides": {"num_key_value_heads": 2}, "max_model_len": "8K"}
    _, plan, _ = _planned(tmp_path, capsys, args)
    assert plan["kv_bytes_per_token"]["expected"] == 32_768
