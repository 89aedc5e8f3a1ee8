"""The catalogue of models, and config.json files beside it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from serve.models.catalogue import find_config, known_models


def test_a_name_is_found_without_organisation_and_ending() -> None:
    assert find_config("qwen3-32b")["num_hidden_layers"] == 64
    assert find_config("RedHatAI/Meta-Llama-3.1-8B-Instruct-quantized.w4a16")["hidden_size"] == 4096
    assert find_config("Qwen/Qwen2.5-32B")["num_hidden_layers"] == 64


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("Qwen/Qwen3-32B-AWQ", ("awq", 4)),
        ("RedHatAI/Qwen2.5-7B-Instruct-fp8-dynamic", ("compressed-tensors", 8)),
        ("RedHatAI/Meta-Llama-3.1-8B-Instruct-quantized.w4a16", ("compressed-tensors", 4)),
        ("someone/Qwen3-14B-GPTQ-Int4", ("gptq", 4)),
    ],
)
def test_an_ending_says_the_format(name: str, says: tuple[str, int]) -> None:
    config = find_config(name)["quantization_config"]
    assert (config["quant_method"], config.get("bits", config.get("num_bits"))) == says


def test_a_plain_name_says_no_format() -> None:
    assert "quantization_config" not in find_config("Qwen/Qwen3-32B")


def test_an_unknown_model_is_answered_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="nearest known: Qwen/Qwen3-32B"):
        find_config("Qwen/Qwen3-33B")
    assert "Qwen/Qwen3-32B" in known_models()


def test_a_directory_and_a_file_are_read(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"num_hidden_layers": 3}), encoding="utf-8")
    assert find_config(str(tmp_path)) == {"num_hidden_layers": 3}
    assert find_config(str(tmp_path / "config.json")) == {"num_hidden_layers": 3}


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "config.json"
    broken.write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match=r"config\.json: not JSON"):
        find_config(str(broken))
    with pytest.raises(ValueError, match="No such file"):
        find_config(str(tmp_path / "none.json"))


def test_planning_imports_no_engine_no_framework_and_not_even_pydantic() -> None:
    heavy = "vllm ray torch pydantic numpy yaml fastapi"
    code = (
        "import sys, serve.models.catalogue, admission.planning.memory.budget;"
        f"print([m for m in '{heavy}'.split() if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603 -- our own interpreter
    assert done.stdout.strip() == "[]"
