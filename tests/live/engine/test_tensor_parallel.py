"""Two real tensor-parallel ranks on the CPU, behind the same application, run by `serve run`."""

import json
import shutil
import signal
from pathlib import Path

import pytest

from serve.embedded import model
from serve.process.cluster import require_free_port
from tests.live.ask import nothing_held, state_of
from tests.live.clients import openai_of
from tests.live.gateway import SERVE, Gateway, start, wait_until, write_profile

# a Qwen3 of four small layers; its weights are random, so its words are noise
_SHAPE = {
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "vocab_size": 49152,
    "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1000000,
    "tie_word_embeddings": True,
    "hidden_act": "silu",
    "torch_dtype": "bfloat16",
    "eos_token_id": 2,
}
_TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
_BYTES_PER_TOKEN_AND_RANK = 4 * 2 * 1 * 32 * 4  # layers x (K, V) x KV heads per rank x size x f32
_BLOCK_TOKENS = 32
_BLOCKS = 512


@pytest.fixture(scope="module")
def tiny_qwen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with a shape and a tokenizer, and no weights."""
    folder = tmp_path_factory.mktemp("tiny-qwen3")
    (folder / "config.json").write_text(json.dumps(_SHAPE))
    embedded = model.prepare("smollm2-135m-instruct", progress=lambda _: None)
    for name in _TOKENIZER:
        shutil.copy(embedded / name, folder / name)
    return folder


@pytest.fixture
def profile(tiny_qwen: Path, tmp_path: Path) -> Path:
    """TP 2: each rank holds one of the two KV heads."""
    return write_profile(
        tmp_path,
        engine={
            "embedded_model": None,
            "environment": {"VLLM_CPU_OMP_THREADS_BIND": "0|1"},
        },
        engine_args={
            "model": str(tiny_qwen),
            "served_model_name": "tiny",
            "load_format": "dummy",
            "tensor_parallel_size": 2,
            "max_model_len": 1024,
            "block_size": _BLOCK_TOKENS,
            "kv_cache_memory_bytes": _BLOCKS * _BLOCK_TOKENS * _BYTES_PER_TOKEN_AND_RANK,
        },
    )


def test_serve_run_takes_the_builder_two_ranks_answer_and_no_engine_outlives_it(
    started: list[Gateway], profile: Path, tmp_path: Path
) -> None:
    port = 8000  # Serve's default, which this way of starting cannot change
    require_free_port("127.0.0.1", port)
    words = ["run", "serve.app:build", f"config={profile}"]
    two_ranks = start([str(SERVE), *words], port=port, folder=tmp_path)
    started.append(two_ranks)
    two_ranks.wait_until_ready()

    with openai_of(two_ranks) as client:
        answer = client.completions.create(model="tiny", prompt="one two three", max_tokens=8, n=2)
    assert len(answer.choices) == 2
    assert answer.usage is not None
    assert answer.usage.completion_tokens > 0

    # one rank alone would hold both heads, so half the blocks in the same memory
    assert state_of(two_ranks)["engine"]["usable_blocks"] == _BLOCKS - 1
    assert len(two_ranks.find("VLLM::Worker")) == 2
    wait_until(lambda: nothing_held(two_ranks), within_s=5.0)

    assert two_ranks.find("EngineCore")
    two_ranks.stop(signal.SIGKILL)
    wait_until(lambda: not two_ranks.find("VLLM::"), within_s=60.0)
