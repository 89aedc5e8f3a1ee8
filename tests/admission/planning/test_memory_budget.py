"""The budget of a card, and what is refused."""

import dataclasses

import pytest

from admission.planning.gpus import find_gpu, known_gpus
from admission.planning.memory.budget import MemoryPlan, plan_memory
from admission.planning.memory.engine.arguments import EngineArguments
from admission.planning.memory.engine.versions import parse_version
from admission.planning.memory.estimate import GIB, Estimate
from admission.planning.memory.model.config_json import read_shape
from admission.planning.memory.model.formats import bits_of, weight_format
from serve.models.catalogue import find_config, known_models

EIGHT_A10 = EngineArguments(tensor_parallel_size=8, gpu_memory_utilization=0.9)


def plan(
    name: str = "Qwen/Qwen3-32B-AWQ",
    gpu: str = "a10",
    arguments: EngineArguments = EIGHT_A10,
    available_kv_bytes: float | None = None,
) -> MemoryPlan:
    return plan_memory(
        find_config(name), find_gpu(gpu), arguments, available_kv_bytes=available_kv_bytes
    )


def test_the_parts_of_a_budget_make_the_card() -> None:
    budget = plan().budget
    assert sum(part.expected for _, part in budget.parts()) == pytest.approx(22.06 * GIB)
    assert budget.reserved.exact
    assert not budget.kv.exact


def test_qwen3_32b_in_4_bits_weighs_2_3_gib_on_each_of_eight_cards() -> None:
    assert plan().budget.weights.expected / GIB == pytest.approx(2.29, abs=0.02)


def test_the_range_of_eight_a10_holds_the_figures_that_were_derived_by_hand() -> None:
    """Derived without logs: 530k-564k tokens, less 33k where the compile cache is cold."""
    tokens = plan().capacity_tokens
    assert tokens.low <= 497_000
    assert tokens.high >= 564_000


def test_known_kv_memory_skips_the_prediction() -> None:
    found = plan(available_kv_bytes=17 * GIB)
    assert found.budget.kv.exact
    assert found.capacity_tokens.exact
    assert found.expected.blocks == 34_816


@pytest.mark.parametrize(
    ("name", "concurrency"),
    [
        ("google/gemma-3-27b-it", 4.46),
        ("google/gemma-3-12b-it", 15.88),
        ("google/gemma-3-4b-it", 57.05),
    ],
)
def test_models_without_a_row_are_met_within_two_per_cent(name: str, concurrency: float) -> None:
    """Logged on H100 with 0.19.0, kept out of the file: only the concurrency is known."""
    arguments = EngineArguments(
        gpu_memory_utilization=0.95, max_model_len=8192, vllm_version="0.19.0"
    )
    found = plan(name, "H100", arguments)
    assert found.expected.concurrency == pytest.approx(concurrency, rel=0.02)


def test_with_pipeline_stages_the_last_one_binds_because_it_samples() -> None:
    arguments = EngineArguments(
        pipeline_parallel_size=2,
        gpu_memory_utilization=0.95,
        max_model_len=8192,
        vllm_version="0.19.0",
    )
    found = plan("meta-llama/Llama-3.1-8B-Instruct", "H100", arguments)
    assert found.budget.stage == 1
    assert found.expected.blocks == pytest.approx(67_207, rel=0.003)


def test_an_engine_that_cannot_start_says_what_is_missing() -> None:
    one = dataclasses.replace(EIGHT_A10, tensor_parallel_size=1)
    assert "more than the 19.85 GiB" in plan("Qwen/Qwen3-32B", arguments=one).misfit
    long = dataclasses.replace(EIGHT_A10, tensor_parallel_size=2, max_model_len=131_072)
    assert "one request of max_model_len 131072 needs 16.00 GiB" in plan(arguments=long).misfit
    assert plan().misfit == ""


def test_graphs_are_deducted_from_0_20_0_and_stand_outside_before() -> None:
    old = plan(arguments=dataclasses.replace(EIGHT_A10, vllm_version="0.19.0")).budget
    new = plan(arguments=dataclasses.replace(EIGHT_A10, vllm_version="0.20.0")).budget
    assert (old.graphs.high, new.graphs_outside.high) == (0, 0)
    assert old.graphs_outside.expected > 0
    assert new.graphs.expected > 0


def test_an_eager_engine_has_no_graphs() -> None:
    eager = plan(arguments=dataclasses.replace(EIGHT_A10, enforce_eager=True)).budget
    assert eager.graphs.high == eager.graphs_outside.high == 0


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("NVIDIA A10", "A10"),
        ("h100", "H100-80GB"),
        ("H100-80GB", "H100-80GB"),
        ("A100-SXM4-40GB", "A100-40GB"),
        ("L40S (PCIe, no NVLink)", "L40S"),
        ("RTX PRO 6000 Blackwell", "RTX PRO 6000"),
        ("24GB GPU, A10 class (unnamed)", "A10"),
        ("64GB card (unnamed)", "64 GB card"),
    ],
)
def test_cards_are_found_under_the_spellings_of_logs(name: str, found: str) -> None:
    assert find_gpu(name).name == found


def test_an_unknown_card_is_answered_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="unknown GPU 'A11'; nearest known: A10;"):
        find_gpu("A11")
    assert "A10" in known_gpus()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("0.19.0", "0.19.0"),
        ("v0.8.x", "0.8.x"),
        ("0.11", "0.11.x"),
        ("0.11.0rc2", "0.11.0"),
        ("0.10.1.1", "0.10.1"),
        ("0.19.1+rhaiv.6", "0.19.1"),
        ("0.26.1rc1.dev608+g99a10304d", "0.26.1"),
    ],
)
def test_releases_are_read_as_logs_write_them(text: str, shown: str) -> None:
    assert str(parse_version(text)) == shown


@pytest.mark.parametrize(("text", "near"), [("0.99.0", "0.33"), ("1.2", "0.33"), ("0.1.5", "0.2")])
def test_an_unknown_release_is_answered_with_the_nearest(text: str, near: str) -> None:
    with pytest.raises(ValueError, match=f"unknown vLLM version .*nearest known: {near}"):
        parse_version(text)


def test_no_release_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown vLLM version 'latest'"):
        parse_version("latest")


def test_bits_come_from_the_config_then_the_argument_then_8_with_a_warning() -> None:
    in_config = {"config_groups": {"group_0": {"weights": {"num_bits": 4}}}}
    assert bits_of(in_config) == 4
    assert weight_format("compressed-tensors", in_config, 8)[0].bits == 4
    assert weight_format("compressed-tensors", None, 4)[0].bits == 4
    form, warning = weight_format("compressed-tensors", None)
    assert form.bits == 8
    assert "--weight-bits" in warning


def test_an_unknown_quantisation_is_answered_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="unknown quantization 'aqw'; nearest known: awq;"):
        weight_format("aqw", None)


@pytest.mark.parametrize(
    "arguments",
    [
        EngineArguments(gpu_memory_utilization=1.2),
        EngineArguments(tensor_parallel_size=0),
        EngineArguments(max_model_len=0),
        EngineArguments(max_model_len=-2),
    ],
)
def test_impossible_arguments_are_refused(arguments: EngineArguments) -> None:
    with pytest.raises(ValueError, match="is not"):
        plan(arguments=arguments)


def test_ranks_that_do_not_divide_the_heads_are_refused() -> None:
    with pytest.raises(ValueError, match="tensor_parallel_size 3 does not divide 64"):
        plan(arguments=EngineArguments(tensor_parallel_size=3))


@pytest.mark.parametrize("name", known_models())
def test_every_model_of_the_catalogue_has_a_shape_and_a_plan(name: str) -> None:
    assert read_shape(find_config(name)).layers
    arguments = EngineArguments(max_model_len=4096)
    assert plan(name, "H200", arguments).bytes_per_token > 0


def test_a_window_that_the_config_switches_off_is_no_window() -> None:
    base = dict(find_config("Qwen/Qwen2.5-7B-Instruct"))
    off = base | {"sliding_window": 131_072, "use_sliding_window": False}
    assert read_shape(off).kinds == {"full"}
    assert read_shape(base | {"sliding_window": 4096}).kinds == {"full"}  # Qwen2's default is off
    other = dict(find_config("mistralai/Mistral-Nemo-Instruct-2407"))
    assert read_shape(other).kinds == {"full"}
    assert read_shape(other | {"sliding_window": 4096}).kinds == {"sliding"}


def test_a_nested_text_config_is_found_and_its_tower_counted() -> None:
    text = dict(find_config("google/gemma-3-4b-it"))
    del text["vision_parameters"]
    vision = {
        "hidden_size": 1152,
        "intermediate_size": 4304,
        "num_hidden_layers": 27,
        "patch_size": 14,
    }
    shape = read_shape({"text_config": text, "vision_config": vision})
    assert len(shape.layers) == 34
    assert shape.vision_parameters == pytest.approx(412_000_000, rel=0.03)


def test_a_missing_key_is_named() -> None:
    with pytest.raises(ValueError, match="hidden_size is missing"):
        read_shape({"num_hidden_layers": 2, "num_attention_heads": 2, "head_dim": 8})


def test_ends_of_a_range_that_are_out_of_order_are_refused() -> None:
    with pytest.raises(ValueError, match="not in order"):
        Estimate(2, 1, 3)
