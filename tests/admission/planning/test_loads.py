"""What vLLM does not load is no layout: heads, widths, groups and blocks that ranks would cut."""

from dataclasses import replace
from typing import Any

import pytest

from admission.planning.gpus import find_gpu
from admission.planning.layouts import layouts, nearest_fit
from admission.planning.memory.budget import loads_with, plan_memory
from admission.planning.memory.engine.arguments import EngineArguments
from admission.planning.memory.model.config_json import read_shape
from tests.admission.planning.plan_cases import eight_a10
from tests.admission.planning.test_model_configs import LLAMA_8B, QWEN3_MOE

Config = dict[str, Any]
QWEN25_7B: Config = {
    "model_type": "qwen2",
    "hidden_size": 3584,
    "intermediate_size": 18_944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "max_position_embeddings": 32_768,
    "vocab_size": 152_064,
}
_AWQ = {"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True}
_FP8 = {"quant_method": "fp8", "weight_block_size": [128, 128]}
_INT4 = {"num_bits": 4, "type": "int", "group_size": 128, "strategy": "group"}
_W4A16 = {"quant_method": "compressed-tensors", "config_groups": {"0": {"weights": _INT4}}}
_NVFP4 = {"quant_method": "modelopt_fp4", "quant_algo": "NVFP4", "group_size": 16}
QWEN25_72B: Config = QWEN25_7B | {
    "hidden_size": 8192,
    "intermediate_size": 29_568,  # 231 groups of 128: odd, so that no two ranks share them
    "num_hidden_layers": 80,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
}


def _widths(config: Config, **arguments: Any) -> set[int]:
    """Of 1 to 8 ranks and 16, those that load."""
    model, given = read_shape(config), EngineArguments(**arguments)
    return {n for n in (*range(1, 9), 16) if loads_with(model, given, n)}


@pytest.mark.parametrize(
    ("config", "widths"),
    [
        pytest.param(QWEN25_7B, {1, 2, 4}, id="28 heads and 4 KV heads: not 7"),
        pytest.param(LLAMA_8B, {1, 2, 4, 8, 16}, id="8 KV heads are copied to 16 ranks"),
        pytest.param(
            LLAMA_8B
            | {"num_attention_heads": 24, "num_key_value_heads": 6, "head_dim": 128}
            | {"intermediate_size": 12_288},
            {1, 2, 3, 6},
            id="6 KV heads: not 4, not 8",
        ),
        pytest.param(
            LLAMA_8B
            | {"vocab_size": 128_257, "num_attention_heads": 30, "head_dim": 128}
            | {"num_key_value_heads": 30, "intermediate_size": 15_360, "hidden_size": 3840},
            {1, 2, 5},
            id="a vocabulary of 128,320 padded rows: not 3, not 6",
        ),
        pytest.param(QWEN25_72B, {1, 2, 4, 8, 16}, id="72B in 16 bits"),
        pytest.param(QWEN25_72B | {"quantization_config": _AWQ}, {1}, id="72B in old AWQ"),
        pytest.param(QWEN25_72B | {"quantization_config": _W4A16}, {1}, id="72B in W4A16"),
        pytest.param(
            QWEN25_72B | {"quantization_config": _AWQ, "intermediate_size": 29_696},
            {1, 2, 4, 8},
            id="72B in AWQ, padded",
        ),
        pytest.param(
            QWEN25_72B | {"quantization_config": _AWQ | {"group_size": -1}},
            {1, 2, 4, 8, 16},
            id="72B in AWQ with one scale a row",
        ),
        pytest.param(
            QWEN3_MOE | {"quantization_config": _FP8}, {1, 2}, id="experts of 768 in FP8 blocks"
        ),
        pytest.param(
            QWEN3_MOE | {"quantization_config": _FP8, "moe_intermediate_size": 1536},
            {1, 2, 4},
            id="experts of 1,536 in FP8 blocks",
        ),
        pytest.param(
            QWEN3_MOE | {"quantization_config": _AWQ},
            {1, 2, 4, 8},
            id="AWQ's experts take smaller groups",
        ),
        pytest.param(
            LLAMA_8B | {"quantization_config": _FP8, "head_dim": 64, "num_key_value_heads": 2},
            {1},
            id="a KV head of 64 in FP8 blocks of 128",
        ),
        pytest.param(
            LLAMA_8B | {"quantization_config": _NVFP4, "intermediate_size": 14_344},
            set(),
            id="NVFP4 groups of 16",
        ),
    ],
)
def test_only_widths_that_vllm_loads_are_layouts(config: Config, widths: set[int]) -> None:
    assert _widths(config) == widths


def test_the_refusal_says_what_is_cut_and_what_loads() -> None:
    config = QWEN25_72B | {"quantization_config": _AWQ}
    with pytest.raises(ValueError, match=r"14784 columns .* 115.5 groups; it loads with .* 1$"):
        plan_memory(config, find_gpu("h100"), EngineArguments(tensor_parallel_size=2))


def test_layouts_that_vllm_does_not_load_do_not_fit() -> None:
    model = read_shape(QWEN25_72B | {"quantization_config": _AWQ})
    arguments = EngineArguments(max_model_len=8192)
    question = replace(eight_a10(), model=model, gpu=find_gpu("h100"), arguments=arguments)
    found = {x.tp: x.misfit for x in layouts(question) if x.asked}
    assert found[1] == ""
    assert all("quantisation groups" in found[tp] for tp in (2, 4, 8))


def test_the_nearest_of_a_length_beyond_the_models_is_the_models() -> None:
    given = EngineArguments(max_model_len=200_000)
    question = replace(
        eight_a10(), model=read_shape(LLAMA_8B), gpu=find_gpu("h100"), arguments=given
    )
    assert nearest_fit(question) == "max_model_len 131072"


def test_recurrent_heads_are_shared_out_too() -> None:
    hybrid = {
        "model_type": "qwen3_next",
        "hidden_size": 2048,
        "num_hidden_layers": 4,
        "num_attention_heads": 16,
        "num_key_value_heads": 2,
        "linear_num_key_heads": 4,
        "linear_num_value_heads": 8,
        "num_experts": 0,
        "intermediate_size": 8192,
        "vocab_size": 151_936,
    }
    assert _widths(hybrid) == {1, 2, 4}


@pytest.mark.parametrize(
    ("version", "loads"),
    [("0.23.0", True), ("0.23.x", True), ("0.9.1", True), ("0.24.0", False), ("", False)],
)
def test_an_architecture_that_vllm_dropped_loads_up_to_its_last_release(
    version: str, loads: bool
) -> None:
    model = LLAMA_8B | {"architectures": ["BaichuanForCausalLM"]}
    arguments = EngineArguments(vllm_version=version, max_model_len=4096)
    if loads:
        assert plan_memory(model, find_gpu("A100-80GB"), arguments).expected.blocks > 0
        return
    with pytest.raises(ValueError, match=r"0\.23\.0 was the last release with Baichuan"):
        plan_memory(model, find_gpu("A100-80GB"), arguments)
