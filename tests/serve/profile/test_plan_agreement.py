"""At start the gateway holds its own plan against what the engine has."""

import logging
from dataclasses import replace

import pytest

from admission.planning.memory.engine.arguments import EngineArguments
from serve.models.catalogue import find_config
from serve.profile.plan_agreement import EngineFacts, compare

GIB = 1 << 30
ON_CPU = EngineFacts(
    config=find_config("Qwen/Qwen3-0.6B"),
    arguments=EngineArguments(max_model_len=4096, block_size=128, dtype="bfloat16"),
    gpu=None,
    kv_bytes=GIB,
    blocks=GIB // (28 * 2 * 8 * 128 * 2 * 128),
)
ON_A10 = EngineFacts(
    config=find_config("Qwen/Qwen3-32B-AWQ"),
    arguments=EngineArguments(
        tensor_parallel_size=8,
        gpu_memory_utilization=0.9,
        max_model_len=32_768,
        max_num_batched_tokens=512,
    ),
    gpu="NVIDIA A10",
    kv_bytes=None,
    blocks=32_000,
)


def test_with_the_memory_given_the_blocks_are_exact(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    found = compare(ON_CPU)
    assert found is not None
    assert found.error_ratio == 0
    assert "planned 73 blocks, the engine has 73 (error +0.0 %)" in caplog.text


def test_on_a_gpu_the_memory_is_predicted(caplog: pytest.LogCaptureFixture) -> None:
    found = compare(ON_A10)
    assert found is not None
    assert abs(found.error_ratio) < 0.05
    assert not caplog.records
    assert found.as_json()["engine_blocks"] == 32_000


def test_an_error_of_more_than_5_percent_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    found = compare(replace(ON_A10, blocks=29_000))
    assert found is not None
    assert [record.levelname for record in caplog.records] == ["WARNING"]


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (replace(ON_CPU, kv_bytes=None), "vLLM itself chose"),
        (replace(ON_A10, gpu="NVIDIA Z99"), "Z99"),
    ],
)
def test_without_a_plan_the_reason_is_logged(
    facts: EngineFacts, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    assert compare(facts) is None
    assert reason in caplog.text
