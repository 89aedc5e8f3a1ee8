"""Model files as people have them: encodings, other kinds of file, folders."""

import json
from pathlib import Path

import pytest

from serve.commands.cli import main
from serve.models.model_file import read_json, read_model

CONFIG = {
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 14_336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "max_position_embeddings": 131_072,
    "vocab_size": 128_256,
}


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le"]
)
def test_every_encoding_of_unicode_is_read(encoding: str, tmp_path: Path) -> None:
    file = tmp_path / "model.json"
    file.write_bytes(json.dumps({**CONFIG, "note": "模型"}, ensure_ascii=False).encode(encoding))
    assert read_json(file)["note"] == "模型"


def test_a_mark_of_big_endian_utf_16_is_read(tmp_path: Path) -> None:
    file = tmp_path / "model.json"
    file.write_bytes(b"\xfe\xff" + json.dumps(CONFIG).encode("utf-16-be"))
    assert read_json(file) == CONFIG


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("model.gguf", b"GGUF\x03\0\0\0\0\0", "a GGUF file.* config.json .*--weight-bits"),
        ("renamed.json", b"GGUF\x03\0\0\0", "a GGUF file"),
        ("model.safetensors", b'\x10\x02\0\0\0\0\0\0{"__metadata__"', "a safetensors file"),
        ("pytorch_model.bin", b"PK\x03\x04rest", "a zip archive"),
        ("old.pt", b"\x80\x02}q\x00", "a pickle"),
        ("config.json", b"\x1f\x8b\x08\0", "packed with gzip"),
        ("config.json", b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        ("config.json", b"<!DOCTYPE html><html>", "a web page"),
        ("config.json", b"", "empty"),
        ("config.json", b"\0" * 4096, "empty"),
        ("config.json", b"\xff\xfe\xff", "neither UTF-8 nor UTF-16"),
        ("config.json", b'{"a": "\xe9"}', "neither UTF-8 nor UTF-16"),
        ("config.json", b"{'a': 1}", "not JSON"),
        ("config.json", b"[1]", "not a JSON object"),
        ("config.json", b"[" * 200_000, "nested too deep|not JSON"),
    ],
)
def test_another_kind_of_file_is_named_and_ends_with_2(
    name: str, content: bytes, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    assert main(["plan", "--model", str(file), "--gpu", "h100"]) == 2
    with pytest.raises(ValueError, match=told):
        read_json(file)
    assert name in capsys.readouterr().err


@pytest.mark.parametrize(
    ("beside", "told"),
    [
        ([], "no config.json in this folder"),
        (["model-q4.gguf"], "only a GGUF file"),
        (["params.json"], "params.json"),
        (["adapter_config.json"], "an adapter"),
        (["model_index.json"], "a diffusion pipeline"),
    ],
)
def test_a_folder_without_a_config_says_what_it_holds(
    beside: list[str], told: str, tmp_path: Path
) -> None:
    for name in beside:
        (tmp_path / name).write_text("{}", encoding="utf-8")
    with pytest.raises(ValueError, match=told):
        read_model(tmp_path)


def test_modelopts_file_counts_where_the_config_has_no_quantisation(tmp_path: Path) -> None:
    said = {"producer": {"name": "modelopt"}, "quantization": {"quant_algo": "FP8"}}
    (tmp_path / "hf_quant_config.json").write_text(json.dumps(said), encoding="utf-8")
    own = {"quantization_config": {"quant_method": "awq"}}
    for config, found in ((CONFIG, said), (CONFIG | own, own["quantization_config"])):
        (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
        assert read_model(tmp_path)["quantization_config"] == found
        assert read_model(tmp_path / "config.json")["quantization_config"] == found
