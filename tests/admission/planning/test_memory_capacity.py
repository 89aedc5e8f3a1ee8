"""KV layout and capacity, by hand."""

import dataclasses

import pytest

from admission.planning.gpus import find_gpu
from admission.planning.memory.engine.arguments import EngineArguments, Resolved, resolve
from admission.planning.memory.estimate import GIB
from admission.planning.memory.kv_capacity import KvCapacity, kv_capacity
from admission.planning.memory.kv_layout import (
    kv_bytes_per_token,
    kv_bytes_per_token_total,
    kv_layout,
)
from admission.planning.memory.model.config_json import read_shape
from admission.planning.memory.model.model_shape import ModelShape, stage_layers
from serve.models.catalogue import find_config
from tests.admission.planning.test_model_configs import DEEPSEEK_V32

NOTHING_GIVEN = EngineArguments()


def shape(name: str) -> ModelShape:
    return read_shape(find_config(name))


def engine(model: ModelShape, **arguments: object) -> Resolved:
    given = dataclasses.replace(NOTHING_GIVEN, **arguments)
    return resolve(given, find_gpu("A10"), model.max_position_tokens)


def capacity(name: str, gib: float, **arguments: object) -> KvCapacity:
    model = shape(name)
    there = engine(model, **arguments)
    return kv_capacity(kv_layout(model, there), there, gib * GIB)


def test_qwen3_32b_holds_a_quarter_mib_per_token_and_an_eighth_of_it_per_card_at_tp_8() -> None:
    model = shape("Qwen/Qwen3-32B")
    eight = engine(model, tensor_parallel_size=8)
    assert kv_bytes_per_token_total(model, eight) == 2 * 64 * 8 * 128 * 2 == 262_144
    assert kv_bytes_per_token(model, eight) == 32_768


def test_17_gib_per_card_hold_557056_tokens_of_qwen3_32b_at_tp_8() -> None:
    found = capacity("Qwen/Qwen3-32B", 17, tensor_parallel_size=8)
    assert found.printed_tokens == 557_056
    assert found.blocks == 34_816
    assert found.usable_blocks == 34_815


def test_smollm2_on_the_cpu_engine_holds_46592_tokens_in_one_gib() -> None:
    found = capacity("HuggingFaceTB/SmolLM2-135M-Instruct", 1, block_size=128)
    assert found.blocks * found.block_tokens == 46_592


def test_a_block_that_only_nearly_fits_is_not_counted() -> None:
    model = shape("Qwen/Qwen3-32B")
    there = engine(model)
    layout = kv_layout(model, there)
    assert kv_capacity(layout, there, 3 * layout.block_bytes - 1).blocks == 2
    assert kv_capacity(layout, there, 3 * layout.block_bytes).blocks == 3


def test_no_memory_is_no_block_and_a_deficit_is_none_either() -> None:
    assert capacity("Qwen/Qwen3-32B", 0).usable_blocks == 0
    assert capacity("Qwen/Qwen3-32B", -5).blocks == 0


def test_kv_heads_are_replicated_when_there_are_more_ranks_than_heads() -> None:
    model = shape("Qwen/Qwen2.5-7B-Instruct")  # 4 KV heads
    four = kv_bytes_per_token(model, engine(model, tensor_parallel_size=4))
    assert kv_bytes_per_token(model, engine(model, tensor_parallel_size=8)) == four


def test_fp8_kv_halves_the_bytes_per_token() -> None:
    model = shape("meta-llama/Llama-3.1-8B-Instruct")
    full = kv_bytes_per_token(model, engine(model))
    assert kv_bytes_per_token(model, engine(model, kv_cache_dtype="fp8")) * 2 == full


def test_latents_lie_whole_on_every_rank() -> None:
    model = shape("deepseek-ai/DeepSeek-V2-Lite-Chat")
    one = kv_bytes_per_token(model, engine(model))
    assert one == 27 * (512 + 64) * 2
    assert kv_bytes_per_token(model, engine(model, tensor_parallel_size=4)) == one


def test_latents_of_0_7_2_are_padded_to_256_bytes() -> None:
    model = shape("deepseek-ai/DeepSeek-Coder-V2-Lite-Instruct")
    assert kv_bytes_per_token(model, engine(model, vllm_version="0.7.2")) == 27 * 640 * 2


@pytest.mark.parametrize(
    ("kv_cache_dtype", "latent_bytes"),
    [("auto", 576 * 2), ("fp8_ds_mla", 656), ("nvfp4_ds_mla", 352), ("FP8_DS_MLA", 656)],
)
def test_sparse_latents_are_packed_as_the_format_says(
    kv_cache_dtype: str, latent_bytes: int
) -> None:
    model = read_shape(DEEPSEEK_V32)
    given = engine(model, kv_cache_dtype=kv_cache_dtype)
    assert kv_bytes_per_token(model, given) == 61 * (latent_bytes + 132)


@pytest.mark.parametrize("model", ["deepseek-ai/DeepSeek-V2-Lite-Chat", "Qwen/Qwen3-32B"])
def test_the_packed_formats_are_for_sparse_latents_alone(model: str) -> None:
    other = shape(model)
    with pytest.raises(ValueError, match=r"fp8_ds_mla packs the latents of sparse attention"):
        kv_layout(other, engine(other, kv_cache_dtype="fp8_ds_mla"))


def test_recurrent_layers_add_no_bytes_per_token() -> None:
    model = shape("Qwen/Qwen3.8-27B")
    assert kv_bytes_per_token(model, engine(model)) == 16 * 2 * 4 * 256 * 2


def test_groups_of_unequal_length_are_padded_as_gemma_3_27b_logs() -> None:
    model = shape("google/gemma-3-27b-it")
    layout = kv_layout(model, engine(model, vllm_version="0.19.0"))
    assert (len(layout.groups), layout.layers_per_group, layout.padding_layers) == (7, 10, 8)


@pytest.mark.parametrize(
    ("name", "available_gib", "arguments", "printed", "concurrency"),
    [
        (
            "google/gemma-3-27b-it",
            109.86,
            {"max_model_len": 4096, "max_num_batched_tokens": 8192, "vllm_version": "0.11.0rc2"},
            205_696,
            50.05,
        ),
        (
            "openai/gpt-oss-120b",
            45.32,
            {
                "tensor_parallel_size": 4,
                "max_model_len": 16_384,
                "max_num_batched_tokens": 2048,
                "vllm_version": "0.10.1.1",
            },
            2_640_144,
            284.25,
        ),
    ],
)
def test_windows_cost_what_the_log_says(
    name: str, available_gib: float, arguments: dict, printed: int, concurrency: float
) -> None:
    found = capacity(name, available_gib, **arguments)
    assert found.printed_tokens == pytest.approx(printed, rel=1e-4)
    assert found.concurrency == pytest.approx(concurrency, abs=0.01)


def test_a_larger_step_lowers_the_concurrency_of_windowed_models_only() -> None:
    small, large = {"max_num_batched_tokens": 2048}, {"max_num_batched_tokens": 8192}
    windowed, dense = "google/gemma-3-12b-it", "Qwen/Qwen3-8B"
    assert capacity(windowed, 10, **large).concurrency < capacity(windowed, 10, **small).concurrency
    assert capacity(dense, 10, **large).concurrency == capacity(dense, 10, **small).concurrency


def test_an_attention_block_grows_to_cover_a_recurrent_state() -> None:
    """Logged: "attention block size set to 1568" with fp8 KV."""
    found = capacity("Qwen/Qwen3.8-27B", 10, tensor_parallel_size=2, kv_cache_dtype="fp8")
    assert found.block_tokens == 1568


def test_the_token_line_changed_with_0_20_1() -> None:
    old = capacity("google/gemma-2-9b-it", 20, vllm_version="0.20.0", max_model_len=8192)
    new = capacity("google/gemma-2-9b-it", 20, vllm_version="0.20.1", max_model_len=8192)
    assert old.blocks == new.blocks
    assert old.printed_tokens == old.blocks // 2 * 16
    assert new.printed_tokens == int(new.concurrency * 8192)


def test_decode_context_parallelism_multiplies_the_tokens() -> None:
    name = "moonshotai/Kimi-K2-Thinking"
    once = capacity(name, 46.8, tensor_parallel_size=8, vllm_version="0.11.x")
    eight = capacity(
        name,
        46.8,
        tensor_parallel_size=8,
        vllm_version="0.11.x",
        decode_context_parallel_size=8,
    )
    assert eight.printed_tokens == 8 * once.printed_tokens


def test_layers_left_over_go_to_the_stages_before_the_last() -> None:
    assert [len(stage) for stage in stage_layers(62, 4)] == [15, 16, 16, 15]
    assert [len(stage) for stage in stage_layers(64, 4)] == [16, 16, 16, 16]


def test_more_stages_than_layers_are_refused() -> None:
    with pytest.raises(ValueError, match="pipeline_parallel_size 5 does not fit 4 layers"):
        stage_layers(4, 5)
