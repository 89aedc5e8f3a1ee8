"""Model shapes by our own reading, against vLLM's and transformers' own classes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from admission.planning.memory.model.config_json import read_shape
from admission.planning.memory.model.model_shape import Experts, Latent

_ROOT = Path(__file__).parents[3]
_TABLE = _ROOT / "admission" / "planning" / "memory" / "model" / "families.json"
# Latents of families that vLLM runs through transformers (no latent there), and others that it
# does not load, are ours to say; DBRX's experts stand in a part that vLLM does not count by.
_OTHERWISE = {"axk2", "dbrx", "mistral4", "nemotron", "xlstm", "youtu"}


def test_the_table_of_families_is_what_the_installed_classes_say() -> None:
    made = subprocess.run(  # a process of its own: classes warn while they are made
        [sys.executable, "-m", "tests.admission.planning.family_table"],
        check=True,
        capture_output=True,
        text=True,
        cwd=_ROOT,
    )
    assert _TABLE.read_text(encoding="utf-8") == made.stdout, (
        "python -m tests.admission.planning.family_table"
        " > admission/planning/memory/model/families.json"
    )


def _law(config: Any) -> tuple[int, ...]:
    """Layers, heads, KV heads, head size, hidden size, vocabulary and experts as vLLM has them."""
    import vllm.config  # noqa: F401, PLC0415 -- before the next: vLLM's own order of imports
    from vllm.transformers_utils import model_arch_config_convertor as law  # noqa: PLC0415

    text = config.get_text_config()
    base = law.ModelArchConfigConvertorBase
    read = law.MODEL_ARCH_CONFIG_CONVERTORS.get(config.model_type, base)(config, text)
    return (
        read.get_num_hidden_layers(),
        read.get_total_num_attention_heads(),
        read.get_total_num_kv_heads(),
        read.get_head_size(),
        read.get_hidden_size(),
        read.get_vocab_size(),
        read.get_num_experts(),
    )


def _ours(config: dict[str, Any]) -> tuple[int, ...]:
    shape = read_shape(config)
    first = shape.attending[0]
    latent = isinstance(first, Latent)
    size = first.latent_size + first.rope_size if isinstance(first, Latent) else first.head_size
    experts = [x.mlp.count for x in shape.layers if isinstance(x.mlp, Experts)]
    return (
        len(shape.layers),
        first.heads,
        first.heads if latent else first.kv_heads,
        size,
        shape.hidden,
        shape.vocabulary,
        max(experts, default=0),
    )


def _families() -> list[str]:
    auto = pytest.importorskip("transformers.models.auto.modeling_auto")
    names = {*auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES}
    return sorted(names | {*auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES})


def test_every_family_is_read_as_vllm_reads_it_whole_and_without_its_defaults() -> None:
    from transformers import CONFIG_MAPPING  # noqa: PLC0415 -- takes seconds

    compared = 0
    for family in _families():
        try:
            config = CONFIG_MAPPING[family]()
            law = _law(config)
        except Exception:  # noqa: BLE001, S112 -- a class that cannot stand alone, or is no decoder
            continue
        for said in (config.to_dict(), config.to_diff_dict()):
            said.pop("quantization_config", None)
            try:
                ours = _ours(json.loads(json.dumps(said, default=str)))
            except (ValueError, IndexError):  # refused in words, or without attention
                continue
            compared += 1
            if family not in _OTHERWISE:
                few = 1  # experts: one is none
                assert ours[:2] == law[:2], family
                assert ours[2] == law[2] or isinstance(read_shape(said).attending[0], Latent)
                assert ours[3:6] == law[3:6], family
                assert ours[6] == law[6] or max(ours[6], law[6]) <= few, family
    assert compared > 350
