"""config.json in other spellings than Llama's, by what one token of theirs holds.

Shapes are those of the models' public config.json files, cut down to the keys that matter; bytes
are layers x 2 x KV heads x head size x 2, or what the comment says.
"""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from admission.planning.gpus import find_gpu
from admission.planning.memory.budget import MemoryPlan, plan_memory
from admission.planning.memory.engine.arguments import EngineArguments
from admission.planning.memory.model.config_json import overridden, read_shape
from admission.planning.memory.model.model_shape import Dense, Experts, ModelShape

Config = dict[str, Any]
LLAMA_8B: Config = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 4096,
    "intermediate_size": 14_336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "max_position_embeddings": 131_072,
    "vocab_size": 128_256,
}
QWEN3_MOE: Config = {
    "model_type": "qwen3_moe",
    "hidden_size": 2048,
    "num_hidden_layers": 48,
    "num_attention_heads": 32,
    "num_key_value_heads": 4,
    "head_dim": 128,
    "intermediate_size": 6144,
    "moe_intermediate_size": 768,
    "num_experts": 128,
    "num_experts_per_tok": 8,
    "vocab_size": 151_936,
    "max_position_embeddings": 40_960,
}
HUNYUAN_A13B: Config = {
    "model_type": "hunyuan_v1_moe",
    "hidden_size": 4096,
    "intermediate_size": 3072,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "attention_head_dim": 128,
    "max_position_embeddings": 32_768,
    "vocab_size": 128_167,
    "num_experts": 64,
    "moe_topk": [8] * 32,
    "moe_intermediate_size": [3072] * 32,
    "num_shared_expert": [1] * 32,
    "tie_word_embeddings": True,
}
NEMOTRON_H: Config = {
    "model_type": "nemotron_h",
    "hybrid_override_pattern": "MEM*EM-",
    "hidden_size": 2688,
    "num_attention_heads": 32,
    "num_key_value_heads": 2,
    "head_dim": 128,
    "mamba_num_heads": 64,
    "mamba_head_dim": 64,
    "ssm_state_size": 128,
    "n_groups": 8,
    "n_routed_experts": 128,
    "num_experts_per_tok": 6,
    "moe_intermediate_size": 1856,
    "moe_shared_expert_intermediate_size": 3712,
    "n_shared_experts": 1,
    "intermediate_size": 1856,
    "vocab_size": 131_072,
}
DEEPSEEK_V3: Config = {
    "model_type": "deepseek_v3",
    "hidden_size": 7168,
    "intermediate_size": 18_432,
    "moe_intermediate_size": 2048,
    "num_hidden_layers": 61,
    "num_attention_heads": 128,
    "num_key_value_heads": 128,
    "n_routed_experts": 256,
    "n_shared_experts": 1,
    "num_experts_per_tok": 8,
    "first_k_dense_replace": 3,
    "moe_layer_freq": 1,
    "kv_lora_rank": 512,
    "q_lora_rank": 1536,
    "qk_rope_head_dim": 64,
    "qk_nope_head_dim": 128,
    "v_head_dim": 128,
    "vocab_size": 129_280,
    "max_position_embeddings": 163_840,
}
DEEPSEEK_V32: Config = DEEPSEEK_V3 | {
    "model_type": "deepseek_v32",
    "index_topk": 2048,
    "index_head_dim": 128,
    "index_n_heads": 64,
}
_DECI_BLOCKS = [
    {"attention": {"n_heads_in_group": 8, "no_op": False}, "ffn": {"ffn_mult": 5.25}},
    {"attention": {"n_heads_in_group": None, "no_op": True}, "ffn": {"ffn_mult": 1.3125}},
]


def planned(config: Config, **arguments: Any) -> MemoryPlan:
    return plan_memory(config, find_gpu("B200"), EngineArguments(**arguments))


@pytest.mark.parametrize(
    ("config", "bytes_per_token"),
    [
        pytest.param(
            {
                "model_type": "falcon",
                "hidden_size": 4544,
                "multi_query": True,
                "new_decoder_architecture": False,
                "num_attention_heads": 71,
                "num_hidden_layers": 32,
                "vocab_size": 65_024,
            },
            32 * 2 * 1 * 64 * 2,
            id="falcon-7b: one KV head by a flag",
        ),
        pytest.param(
            {
                "model_type": "falcon",
                "hidden_size": 8192,
                "multi_query": True,
                "new_decoder_architecture": True,
                "num_attention_heads": 128,
                "num_kv_heads": 8,
                "num_hidden_layers": 60,
                "vocab_size": 65_024,
            },
            60 * 2 * 8 * 64 * 2,
            id="falcon-40b: the new architecture ignores the flag",
        ),
        pytest.param(
            {"model_type": "RefinedWebModel", "n_layer": 32, "n_head": 71, "hidden_size": 4544}
            | {"multi_query": True, "vocab_size": 65_024},
            32 * 2 * 64 * 2,
            id="falcon-7b as first published",
        ),
        pytest.param(
            {"model_type": "gpt2", "n_layer": 24, "n_head": 16, "n_embd": 1024}
            | {"vocab_size": 50_257, "n_positions": 1024},
            24 * 2 * 16 * 64 * 2,
            id="gpt2-medium",
        ),
        pytest.param(
            {"model_type": "gpt_bigcode", "n_layer": 40, "n_head": 48, "n_embd": 6144}
            | {"multi_query": True, "vocab_size": 49_152, "n_positions": 8192, "n_inner": 24_576},
            40 * 2 * 1 * 128 * 2,
            id="starcoder",
        ),
        pytest.param(
            {"model_type": "mpt", "d_model": 4096, "n_heads": 32, "n_layers": 32}
            | {"attn_config": {"attn_type": "multihead_attention"}, "vocab_size": 50_432},
            32 * 2 * 32 * 128 * 2,
            id="mpt-7b",
        ),
        pytest.param(
            {"model_type": "mpt", "d_model": 4096, "n_heads": 32, "n_layers": 32}
            | {"attn_config": {"attn_type": "grouped_query_attention", "kv_n_heads": 8}}
            | {"vocab_size": 50_432},
            32 * 2 * 8 * 128 * 2,
            id="mpt with groups",
        ),
        pytest.param(
            {"model_type": "dbrx", "d_model": 6144, "n_heads": 48, "n_layers": 40}
            | {"attn_config": {"kv_n_heads": 8, "clip_qkv": 8}, "vocab_size": 100_352}
            | {"ffn_config": {"ffn_hidden_size": 10_752, "moe_num_experts": 16, "moe_top_k": 4}},
            40 * 2 * 8 * 128 * 2,
            id="dbrx: attention and experts in parts of their own",
        ),
        pytest.param(
            {"model_type": "chatglm", "num_layers": 40, "hidden_size": 4096}
            | {"num_attention_heads": 32, "kv_channels": 128, "ffn_hidden_size": 13_696}
            | {"multi_query_attention": True, "multi_query_group_num": 2}
            | {"padded_vocab_size": 151_552, "seq_length": 131_072},
            40 * 2 * 2 * 128 * 2,
            id="glm-4-9b as first published",
        ),
        pytest.param(
            {"model_type": "openelm", "model_dim": 1280, "head_dim": 64}
            | {"num_transformer_layers": 3, "num_query_heads": [12, 16, 20]}
            | {"num_kv_heads": [3, 4, 5], "ffn_multipliers": [0.5, 1.0, 4.0]}
            | {"ffn_dim_divisor": 256, "vocab_size": 32_000, "max_context_length": 2048},
            2 * (3 + 4 + 5) * 64 * 2,
            id="openelm: heads per layer",
        ),
        pytest.param(
            LLAMA_8B
            | {"model_type": "nemotron-nas", "num_hidden_layers": 2, "num_key_value_heads": None}
            | {"hidden_size": 8192, "num_attention_heads": 64, "block_configs": _DECI_BLOCKS},
            1 * 2 * 8 * 128 * 2,
            id="nemotron-nas: a layer without attention",
        ),
        pytest.param(HUNYUAN_A13B, 32 * 2 * 8 * 128 * 2, id="hunyuan-a13b: lists"),
        pytest.param(DEEPSEEK_V3, 61 * 576 * 2, id="deepseek-v3: a latent"),
        pytest.param(
            DEEPSEEK_V32,
            61 * (576 * 2 + 132),
            id="deepseek-v3.2: and an index of 128 FP8 numbers and a scale",
        ),
        pytest.param(
            {"model_type": "minicpm3", "hidden_size": 2560, "num_hidden_layers": 62}
            | {"num_attention_heads": 40, "kv_lora_rank": 256, "qk_nope_head_dim": 64}
            | {"qk_rope_head_dim": 32, "q_lora_rank": 768, "vocab_size": 73_448},
            62 * 2 * 40 * 96 * 2,
            id="minicpm3: vLLM keeps whole heads",
        ),
        pytest.param(
            {
                "model_type": "gemma3",
                "text_config": {
                    "model_type": "gemma3_text",
                    "hidden_size": 2560,
                    "intermediate_size": 10_240,
                    "num_hidden_layers": 34,
                    "sliding_window": 1024,
                },
            },
            34 * 2 * 4 * 256 * 2,
            id="gemma-3-4b: the family's heads",
        ),
        pytest.param(
            {"model_type": "llava", "text_config": {"model_type": "llama", "vocab_size": 32_064}},
            32 * 2 * 32 * 128 * 2,
            id="llava-1.5-7b: all of Llama's defaults",
        ),
        pytest.param(
            {
                "model_type": "qwen3_omni_moe",
                "thinker_config": {"text_config": dict(QWEN3_MOE, model_type=None)},
            },
            48 * 2 * 4 * 128 * 2,
            id="qwen3-omni: two levels down",
        ),
        pytest.param(
            {"model_type": "internvl_chat", "llm_config": dict(LLAMA_8B)},
            32 * 2 * 8 * 128 * 2,
            id="internvl: llm_config",
        ),
        pytest.param(
            {"model_type": "kimi_k25", "text_config": dict(DEEPSEEK_V3, model_type="kimi_k2")},
            61 * 576 * 2,
            id="kimi-k2.5",
        ),
        pytest.param(
            {"model_type": "gemma4_text", "num_hidden_layers": 6, "num_attention_heads": 8}
            | {"num_key_value_heads": 4, "head_dim": 256, "layer_types": None}
            | {"per_layer_config": {"5": {"head_dim": 512, "num_key_value_heads": 2}}},
            (5 * 4 * 256 + 2 * 512) * 2 * 2,
            id="gemma-4 as transformers writes it",
        ),
        pytest.param(
            {"model_type": "gemma3n_text", "num_hidden_layers": 35, "num_kv_shared_layers": 15}
            | {"num_attention_heads": 8, "num_key_value_heads": 2, "head_dim": 256},
            20 * 2 * 2 * 256 * 2,
            id="gemma-3n: the last layers read the cache of others",
        ),
        pytest.param(
            {"model_type": "mimo_v2_flash", "num_hidden_layers": 6, "hidden_size": 4096}
            | {"num_attention_heads": 64, "num_key_value_heads": 4, "head_dim": 192}
            | {"v_head_dim": 128, "swa_num_key_value_heads": 8, "swa_head_dim": 192}
            | {"swa_num_attention_heads": 64, "swa_v_head_dim": 128, "sliding_window": 128}
            | {"hybrid_layer_pattern": [0, 1, 1, 1, 1, 1], "vocab_size": 152_576},
            (4 + 5 * 8) * (192 + 128) * 2,
            id="mimo-v2-flash: windows with heads of their own, short values",
        ),
        pytest.param(NEMOTRON_H, 2 * 2 * 128 * 2, id="nemotron-3-nano: one layer with attention"),
    ],
)
def test_one_token_holds_what_the_family_keeps(config: Config, bytes_per_token: int) -> None:
    plan = planned(config, max_model_len=1024)
    assert plan.bytes_per_token == bytes_per_token
    assert not [note for note in plan.warnings if "differs" in note]


def test_experts_are_read_per_layer() -> None:
    mlps = {layer.mlp for layer in read_shape(HUNYUAN_A13B).layers}
    assert mlps == {Experts(64, 8, 3072, 3072)}
    first_dense = read_shape(HUNYUAN_A13B | {"num_experts": [1, *[64] * 31]}).layers
    assert first_dense[0].mlp == Dense(3072)
    assert isinstance(first_dense[1].mlp, Experts)


@pytest.mark.parametrize(
    ("said", "with_experts"),
    [
        ({"first_k_dense_replace": 3}, set(range(3, 8))),
        ({"mlp_only_layers": [0, 7]}, set(range(1, 7))),
        ({"decoder_sparse_step": 2}, {1, 3, 5, 7}),
        ({"moe_layer_freq": [0, 1, 1, 0, 0, 0, 0, 1]}, {1, 2, 7}),
        ({"moe_layers_enum": "2,3,4"}, {2, 3, 4}),
        ({"moe_layers": [1, 5]}, {1, 5}),
        ({"moe_layer_start_index": 1, "moe_layer_end_index": 6}, set(range(1, 7))),
        ({"expert_layer_period": 2, "expert_layer_offset": 1}, {1, 3, 5, 7}),
        ({"mlp_layer_types": ["dense", *["sparse"] * 7]}, set(range(1, 8))),
        ({"num_dense_layers": 2}, set(range(2, 8))),
    ],
)
def test_which_layers_have_experts_is_said_in_many_ways(
    said: Config, with_experts: set[int]
) -> None:
    layers = read_shape(QWEN3_MOE | {"num_hidden_layers": 8} | said).layers
    assert {i for i, x in enumerate(layers) if isinstance(x.mlp, Experts)} == with_experts


# -- formats that a checkpoint brings ------------------------------------------------------

_SCHEME = {"num_bits": 8, "type": "float", "strategy": "tensor", "symmetric": True}
_FP8_GROUPS = {"group_0": {"weights": {"num_bits": 8, "type": "float", "strategy": "channel"}}}


@pytest.mark.parametrize(
    ("quantization", "kv_cache_dtype", "name", "bits"),
    [
        (
            {"quant_method": "compressed-tensors", "config_groups": _FP8_GROUPS}
            | {"kv_cache_scheme": _SCHEME},
            "fp8",
            "fp8",
            8,
        ),
        ({"quant_method": "compressed_tensors", "config_groups": _FP8_GROUPS}, "", "fp8", 8),
        (
            {"producer": {"name": "modelopt"}}
            | {"quantization": {"quant_algo": "FP8", "kv_cache_quant_algo": "FP8"}},
            "fp8_e4m3",
            "fp8",
            8,
        ),
        (
            {"producer": {"name": "modelopt"}}
            | {"quantization": {"quant_algo": "NVFP4", "group_size": 16}},
            "",
            "nvfp4",
            4,
        ),
        (
            {"quant_method": "modelopt", "quant_algo": "FP8"}
            | {"kv_cache_scheme": {"num_bits": 8, "type": "float", "dynamic": False}},
            "fp8",
            "fp8",
            8,
        ),
        ({"quant_method": "AWQ", "w_bit": 4, "q_group_size": 64}, "", "awq", 4),
        ({"quant_method": "gptq", "bits": 8, "group_size": 128}, "", "gptq", 8),
        ({"quant_method": "auto-round", "bits": 4, "group_size": 128}, "", "gptq", 4),
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, "", "fp8", 8),
        (
            {"quant_method": "compressed-tensors"}
            | {"config_groups": {"0": {"weights": {"num_bits": 4, "type": "float"}}}},
            "",
            "nvfp4",
            4,
        ),
        (
            {"quant_method": "quark"} | {"global_quant_config": {"weight": {"dtype": "fp8_e4m3"}}},
            "",
            "quark",
            8,
        ),
    ],
)
@pytest.mark.parametrize("key", ["quantization_config", "compression_config"])
def test_the_checkpoint_brings_its_formats(
    quantization: Config, kv_cache_dtype: str, name: str, bits: int, key: str
) -> None:
    from admission.planning.memory.model.formats import weight_format  # noqa: PLC0415

    shape = read_shape(LLAMA_8B | {key: quantization})
    assert shape.kv_cache_dtype == kv_cache_dtype
    form, warning = weight_format(None, shape.quantization_config)
    assert (form.name, form.bits, warning) == (name, bits, "")


def test_a_cache_format_halves_the_tokens_bytes_unless_another_is_asked_for() -> None:
    scheme = {"quant_method": "compressed-tensors", "config_groups": _FP8_GROUPS}
    config = LLAMA_8B | {"quantization_config": scheme | {"kv_cache_scheme": _SCHEME}}
    assert planned(config).bytes_per_token == 65_536
    assert planned(config, kv_cache_dtype="bfloat16").bytes_per_token == 131_072
    assert planned(LLAMA_8B, kv_cache_dtype="nvfp4").bytes_per_token == 36_864  # 0.5625 a number


@pytest.mark.parametrize(
    "quantization",
    [
        {"quant_method": "compressed-tensors", "kv_cache_scheme": {"num_bits": 8, "type": "int"}},
        {"producer": {"name": "modelopt"}, "quantization": {"quant_algo": "W4A8_AWQ"}},
        {"quant_method": "hqq"},
        {"quant_method": "fp8", "weight_block_size": 128},
        "awq",
    ],
)
def test_formats_that_vllm_does_not_load_are_refused(quantization: object) -> None:
    with pytest.raises(ValueError, match=r"vLLM|unknown quantization|weight_block_size|no|not an"):
        planned(LLAMA_8B | {"quantization_config": quantization})


# -- how long ------------------------------------------------------------------------------

_YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32_768}


@pytest.mark.parametrize(
    ("said", "release", "length"),
    [
        ({}, "0.32.0", 131_072),
        ({"max_position_embeddings": 32_768, "rope_scaling": _YARN}, "0.32.0", 32_768),
        ({"max_position_embeddings": 32_768, "rope_scaling": _YARN}, "0.29.0", 131_072),
        ({"max_position_embeddings": 131_072, "rope_parameters": _YARN}, "0.29.0", 131_072),
        (
            {"max_position_embeddings": 4096, "rope_scaling": {"type": "linear", "factor": 2.0}},
            "0.32.0",
            8192,
        ),
        (
            {"max_position_embeddings": 4096, "rope_scaling": {"type": "dynamic", "factor": 4}},
            "0.32.0",
            16_384,
        ),
        ({"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}, "0.32.0", 131_072),
        (
            {"rope_scaling": {"type": "su"}, "original_max_position_embeddings": 4096},
            "0.32.0",
            4096,
        ),
        ({"model_max_length": 8192}, "0.32.0", 8192),
        ({"seq_length": 2048}, "0.32.0", 2048),
    ],
)
def test_the_context_is_as_vllm_derives_it(said: Config, release: str, length: int) -> None:
    assert planned(LLAMA_8B | said, vllm_version=release).engine.max_model_len == length


def test_a_length_that_the_model_does_not_take_is_a_misfit() -> None:
    assert "vLLM refuses it" in planned(LLAMA_8B, max_model_len=131_073).misfit
    assert planned(LLAMA_8B, max_model_len=131_072).misfit == ""


def test_mixed_formats_are_counted_with_the_most_bits_and_a_warning() -> None:
    groups = {"a": {"weights": {"num_bits": 4}}, "b": {"weights": {"num_bits": 8}}}
    quantization = {"quant_method": "compressed-tensors", "config_groups": groups}
    plan = planned(LLAMA_8B | {"quantization_config": quantization})
    assert plan.warnings == (
        "compressed-tensors mixes formats; all of the weights are counted with 8 bits",
    )


def test_auto_takes_the_longest_request_that_the_cache_holds() -> None:
    auto = plan_memory(LLAMA_8B, find_gpu("L4"), EngineArguments(max_model_len=-1))
    assert auto.misfit == ""
    assert 1 <= auto.max_concurrency.expected < 1.01
    assert planned(LLAMA_8B, max_model_len=-1).engine.max_model_len == 131_072


def test_overrides_lie_over_the_config_key_by_key() -> None:
    config = {"text_config": LLAMA_8B}
    merged = overridden(config, {"text_config": {"num_key_value_heads": 2}})
    assert read_shape(merged).attending[0].heads == 32
    assert merged["text_config"]["num_key_value_heads"] == 2


# -- what is not understood ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ({"expert_count": 64}, "expert_count"),
        ({"kv_compression_rank": 64}, "kv_compression_rank"),
        ({"num_memory_heads": 4}, "num_memory_heads"),
        ({"attention_window_stride": 128}, "attention_window_stride"),
        ({"cross_attention_layers": [3, 8]}, "cross_attention_layers"),
        ({"num_kv_heads": 4}, "num_kv_heads|num_key_value_heads"),
        ({"n_routed_experts": 8, "num_local_experts": 16}, "num_local_experts"),
    ],
)
def test_a_key_that_looks_like_shape_and_is_not_read_is_named(said: Config, named: str) -> None:
    (note,) = read_shape(LLAMA_8B | said).notes
    assert any(name in note for name in named.split("|"))


def test_what_says_nothing_of_the_shape_is_not_named() -> None:
    harmless = {
        "attention_bias": False,
        "attention_dropout": 0.1,
        "hidden_act": "silu",
        "initializer_range": 0.02,
        "layer_norm_eps": 1e-5,
        "num_nextn_predict_layers": 1,
        "pretraining_tp": 1,
        "router_aux_loss_coef": 0.001,
        "num_memory_heads": 0,
        "use_cache": True,
    }
    assert read_shape(LLAMA_8B | harmless).notes == ()


@pytest.mark.parametrize(
    "config",
    [
        {"model_type": "deepseek_v4"},
        {"model_type": "falcon_h1"},
        {"model_type": "whisper", "encoder_layers": 32, "decoder_layers": 32},
        {"model_type": "t5", "is_encoder_decoder": True},
        {"model_type": "qwen4_exp", "text_config": {}},
    ],
)
def test_a_family_without_a_formula_is_refused_by_name(config: Config) -> None:
    with pytest.raises(ValueError, match=f"{config['model_type']}.* not planned"):
        read_shape(config)


def test_a_list_of_layers_that_is_too_short_is_refused() -> None:
    with pytest.raises(ValueError, match="layer_types has 3 entries for 32 layers"):
        read_shape(LLAMA_8B | {"layer_types": ["full_attention"] * 3})


def test_layers_of_an_unknown_kind_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown layer type 'quantum'"):
        read_shape(LLAMA_8B | {"layer_types": ["quantum"] * 32})


_VALUES = st.none() | st.booleans() | st.integers(-5, 300) | st.floats() | st.text(max_size=3)
_JSON = st.recursive(
    _VALUES,
    lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=3), x, max_size=2),
    max_leaves=4,
)
_BASES = st.sampled_from([LLAMA_8B, HUNYUAN_A13B, DEEPSEEK_V3, NEMOTRON_H])


@given(_BASES, st.data())
def test_whatever_a_key_holds_it_is_a_shape_or_a_value_error(
    base: Config, data: st.DataObject
) -> None:
    key = data.draw(st.sampled_from([*sorted(base), "quantization_config", "rope_scaling"]))
    config = base | {key: data.draw(_JSON)}
    try:
        assert isinstance(read_shape(config), ModelShape)
        planned(config)
    except ValueError:
        pass
