"""Every kind of model in vLLM's public recipes (github vllm-project/recipes) is planned or refused.

One row per kind: the recipes that it stands for, its config.json cut down to what its shape is
(public files; what is left out has the family's default), and bytes of a token at 16 bits, or the
words of the refusal. Recipes whose shapes differ only in size share a row.
"""

from typing import Any

import pytest

from admission.planning.gpus import find_gpu
from admission.planning.memory.budget import plan_memory
from admission.planning.memory.engine.arguments import EngineArguments

Config = dict[str, Any]
_REFUSED = "not planned|diffusion|is missing|unknown layer type"


def _plain(
    model_type: str, layers: int, hidden: int, heads: int, kv: int, size: int, **others: Any
) -> Config:
    return {
        "model_type": model_type,
        "num_hidden_layers": layers,
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "num_key_value_heads": kv,
        "head_dim": size,
        "vocab_size": 151_936,
        "max_position_embeddings": 32_768,
        **others,
    }


def _latent(model_type: str, layers: int, hidden: int, heads: int, **others: Any) -> Config:
    latent = {"kv_lora_rank": 512, "qk_rope_head_dim": 64, "q_lora_rank": 1536}
    return _plain(model_type, layers, hidden, heads, heads, 0, **latent, **others) | {
        "head_dim": None
    }


_DELTA = {
    "linear_num_key_heads": 16,
    "linear_num_value_heads": 32,
    "linear_key_head_dim": 128,
    "linear_value_head_dim": 128,
}
_MOE = {"num_experts": 128, "num_experts_per_tok": 8, "moe_intermediate_size": 768}
_SPARSE = {"index_topk": 2048, "index_head_dim": 128, "index_n_heads": 32}
_SWA = {"sliding_window": 1024, "sliding_window_pattern": 4}
_CONVS = ["conv", "conv", "full_attention"]

PLANNED: list[tuple[str, Config, int]] = [
    ("Qwen2.5-32B", _plain("qwen2", 64, 5120, 40, 8, 128), 262_144),
    ("Qwen3-32B, 8B, 4B, 1.7B, Qwen3Guard", _plain("qwen3", 64, 5120, 64, 8, 128), 262_144),
    ("Qwen3-30B-A3B, 235B, Coder", _plain("qwen3_moe", 48, 2048, 32, 4, 128, **_MOE), 98_304),
    (
        "Qwen2.5-VL-7B, 72B",
        {"model_type": "qwen2_5_vl"}
        | {"text_config": _plain("qwen2_5_vl_text", 28, 3584, 28, 4, 128)},
        57_344,
    ),
    (
        "Qwen3-VL-235B, Glyph",
        {"model_type": "qwen3_vl_moe"}
        | {"text_config": _plain("qwen3_vl_moe_text", 94, 4096, 64, 4, 128, **_MOE)},
        192_512,
    ),
    (
        "Qwen3-Next, Qwen3.5, 3.6, 3.8, Intern-S2",
        _plain("qwen3_next", 48, 2048, 16, 2, 256, **_DELTA, **_MOE),
        24_576,
    ),
    (
        "Qwen3-ASR",
        {"model_type": "qwen3_asr"}
        | {"thinker_config": {"text_config": _plain("qwen3", 28, 2048, 16, 8, 128)}},
        114_688,
    ),
    ("Llama 3.1, 3.2, 3.3", _plain("llama", 32, 4096, 32, 8, 128), 131_072),
    (
        "Llama-4-Scout",
        {"model_type": "llama4", "text_config": _plain("llama4_text", 48, 5120, 40, 8, 128)},
        196_608,
    ),
    ("gpt-oss-20b, 120b", _plain("gpt_oss", 24, 2880, 64, 8, 64), 49_152),
    (
        "gemma-4-12B, 31B",
        {"model_type": "gemma4"}
        | {"text_config": _plain("gemma4_text", 48, 3840, 16, 8, 256)},
        (40 * 2 * 8 * 256 + 8 * 2 * 8 * 512) * 2,
    ),
    (
        "translategemma-27b",
        {"model_type": "gemma3", "text_config": _plain("gemma3_text", 62, 5376, 32, 16, 128)},
        507_904,
    ),
    ("Seed-OSS-36B", _plain("seed_oss", 64, 5120, 80, 8, 128), 262_144),
    ("Mellum2", _plain("mellum", 28, 2304, 32, 4, 128, **_SWA, **_MOE), 57_344),
    (
        "LFM2.5-1.2B and its kin",
        _plain("lfm2", 6, 2048, 32, 8, 64, layer_types=_CONVS * 2, intermediate_size=12_288),
        4096,
    ),
    (
        "LFM2.5-8B-A1B",
        _plain("lfm2_moe", 6, 2048, 32, 8, 64, layer_types=_CONVS * 2, num_dense_layers=2),
        4096,
    ),
    (
        "MiniMax-M2, 2.1, 2.5, 2.7",
        _plain("minimax_m2", 62, 3072, 48, 8, 128, num_local_experts=256, num_experts_per_tok=8),
        253_952,
    ),
    (
        "InternVL3.5, Intern-S1",
        {"model_type": "internvl", "text_config": _plain("qwen3", 36, 4096, 32, 8, 128)},
        147_456,
    ),
    (
        "PaddleOCR-VL",
        {"model_type": "paddleocr_vl"}
        | {"text_config": _plain("paddleocr_vl_text", 18, 1024, 16, 2, 128)},
        18_432,
    ),
    (
        "MiMo-V2-Flash",
        _plain("mimo_v2_flash", 48, 4096, 64, 4, 192, v_head_dim=128, sliding_window=128)
        | {"hybrid_layer_pattern": [0, 1, 1, 1] * 12, "swa_num_key_value_heads": 8},
        (12 * 4 + 36 * 8) * 320 * 2,
    ),
    ("Trinity", _plain("afmoe", 60, 3072, 48, 8, 128, sliding_window=4096), 245_760),
    ("ERNIE-4.5-21B-A3B", _plain("ernie4_5_moe", 28, 2560, 20, 4, 128), 57_344),
    (
        "ERNIE-4.5-VL-28B-A3B",
        {"model_type": "ernie4_5_vl_moe", **_plain("x", 28, 2560, 20, 4, 128)}
        | {"model_type": "ernie4_5_moe_vl", "moe_num_experts": [64, 64]}
        | {"moe_intermediate_size": [1536, 512], "moe_k": 6, "moe_layer_start_index": [1, 1]},
        57_344,
    ),
    ("DeepSeek-R1, V3, V3.1, OCR", _latent("deepseek_v3", 61, 7168, 128), 70_272),
    ("DeepSeek-V3.2", _latent("deepseek_v32", 61, 7168, 128, **_SPARSE), 78_324),
    ("Kimi-K2, K2.5-2.7", _latent("kimi_k2", 61, 7168, 64), 70_272),
    (
        "Kimi-Linear-48B",
        _latent("kimi_linear", 8, 2304, 32)
        | {"linear_attn_config": {"num_heads": 32, "head_dim": 128, "full_attn_layers": [4, 8]}},
        2304,
    ),
    ("granite-3.2-2b", _plain("granite", 40, 2048, 32, 8, 64), 81_920),
    ("Phi-4-mini, reasoning", _plain("phi3", 32, 3072, 24, 8, 128), 131_072),
    ("Phi-4-multimodal", _plain("phi4mm", 32, 3072, 24, 8, 128), 131_072),
    (
        "Ministral-3, Mistral-Medium",
        {"model_type": "mistral3", "text_config": _plain("ministral3", 40, 5120, 32, 8, 128)},
        163_840,
    ),
    ("MiniCPM5-1B, GLM-GA", _plain("llama", 24, 1536, 16, 2, 128), 24_576),
    ("MiniCPM-V-4.6", _plain("qwen3_5_text", 24, 2048, 8, 2, 256, **_DELTA), 12_288),
    ("GLM-4.5, 4.6, 4.7", _plain("glm4_moe", 92, 5120, 96, 8, 128), 376_832),
    (
        "GLM-4.5V, 4.6V",
        {"model_type": "glm4v_moe", "text_config": _plain("glm4v_moe_text", 46, 4096, 96, 8, 128)},
        188_416,
    ),
    ("GLM-5, 5.1, 5.2", _latent("glm_moe_dsa", 78, 6144, 64, **_SPARSE), 78 * (1152 + 132)),
    ("glm-4-9b-hf", _plain("glm", 40, 4096, 32, 2, 128), 40_960),
    ("GLM-OCR", _plain("glm_ocr_text", 16, 1536, 16, 8, 128), 65_536),
    ("Hunyuan-A13B, HunyuanOCR", _plain("hunyuan_v1_moe", 32, 4096, 32, 8, 128), 131_072),
    ("Hy3", _plain("hy_v3", 80, 4096, 64, 8, 128), 327_680),
    (
        "Step-3.5-Flash, 3.7",
        _plain("step3p5", 4, 4096, 64, 8, 128, sliding_window=512)
        | {"layer_types": ["full_attention", *["sliding_attention"] * 3], "num_attention_groups": 8}
        | {"attention_other_setting": {"attention_type": "sliding_attention"}}
        | {"moe_layers_enum": "2,3", "moe_num_experts": 288, "share_expert_dim": 1280}
        | {"moe_intermediate_size": 1280},
        16_384,
    ),
    ("Nemotron 3 Nano, Super, Ultra", _plain("nemotron_h", 0, 2688, 32, 2, 128)
        | {"num_hidden_layers": None, "hybrid_override_pattern": "MEM*E"}, 1024),
    ("plamo-3-31b", _plain("plamo3", 64, 6144, 48, 8, 128, **_SWA), 262_144),
    ("Laguna XS, S, M", _plain("laguna", 40, 2048, 48, 8, 128), 163_840),
    (
        "Muse-Glimmer-30B",
        _plain("muse_glimmer_text", 4, 4096, 32, 8, 128, layer_types=["full_attention"] * 4),
        16_384,
    ),
]  # fmt: skip
REFUSED: list[tuple[str, Config]] = [
    ("DeepSeek-V4-Flash, Pro", {"model_type": "deepseek_v4"}),
    ("Kimi-K3", {"model_type": "kimi_k3"}),
    ("Inkling", {"model_type": "inkling_mm_model"}),
    ("Ling-2.6, 3.0, Ring-2.6", {"model_type": "bailing_hybrid"}),
    ("plamo-2-translate", _plain("plamo2", 32, 4096, 32, 4, 128, layer_types=["hybrid"] * 32)),
    ("whisper-large-v3", {"model_type": "whisper", "is_encoder_decoder": True}),
    ("LongCat-Flash", {"model_type": "longcat_flash"}),
    ("LTX, Wan, Stable Diffusion, Qwen-Image", {"_class_name": "WanPipeline"}),
    ("Qwen3-TTS, Voxtral TTS, IndexTTS, s2-pro", {"model_type": "qwen3_tts", "talker_config": {}}),
]


@pytest.mark.parametrize(
    ("config", "bytes_per_token"), [pytest.param(c, b, id=n) for n, c, b in PLANNED]
)
def test_a_recipes_model_is_planned(config: Config, bytes_per_token: int) -> None:
    plan = plan_memory(config, find_gpu("B200"), EngineArguments(max_model_len=4096))
    assert plan.bytes_per_token == bytes_per_token


@pytest.mark.parametrize("config", [pytest.param(c, id=n) for n, c in REFUSED])
def test_or_it_is_refused_in_words(config: Config) -> None:
    with pytest.raises(ValueError, match=_REFUSED):
        plan_memory(config, find_gpu("B200"), EngineArguments(max_model_len=4096))
