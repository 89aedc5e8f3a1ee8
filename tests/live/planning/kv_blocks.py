"""Blocks that the real CPU engine makes of a memory size, beside those the memory model says.

vLLM's own workers on a small Qwen3 with random weights; no gateway, nothing simulated.

    .venv/bin/python -m tests.live.planning.kv_blocks          # 3 sizes, 2 block sizes, TP 1 and 2
    .venv/bin/python -m tests.live.planning.kv_blocks 1 32 2   # one of them
"""

import itertools
import json
import os
import sys
import tempfile
from pathlib import Path

# read while vLLM is imported: workers are forked from here, so only this process imports vLLM
os.environ |= {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_WORKER_MULTIPROC_METHOD": "fork",
    "VLLM_LOGGING_LEVEL": "ERROR",
}

SPACES_GIB = (1, 2, 3)  # VLLM_CPU_KVCACHE_SPACE
BLOCKS_TOKENS = (32, 128)
RANKS = (1, 2)
SHAPE = {
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 5,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "vocab_size": 1024,
    "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1000000,
    "tie_word_embeddings": True,
    "hidden_act": "silu",
    "torch_dtype": "bfloat16",
}


def blocks(folder: Path, space_gib: int, block_tokens: int, ranks: int) -> tuple[int, int]:
    """What the memory model says, and what vLLM has."""
    from vllm.engine.arg_utils import EngineArgs  # noqa: PLC0415
    from vllm.v1.engine.core import EngineCore  # noqa: PLC0415
    from vllm.v1.executor.abstract import Executor  # noqa: PLC0415

    from serve.engine.facts import facts_of  # noqa: PLC0415
    from serve.profile.plan_agreement import compare  # noqa: PLC0415

    os.environ["VLLM_CPU_KVCACHE_SPACE"] = str(space_gib)
    os.environ["VLLM_CPU_OMP_THREADS_BIND"] = "0|1" if ranks > 1 else "0"
    config = EngineArgs(
        model=str(folder),
        skip_tokenizer_init=True,
        load_format="dummy",
        enforce_eager=True,
        max_model_len=1024,
        block_size=block_tokens,
        tensor_parallel_size=ranks,
    ).create_engine_config()
    core = EngineCore(config, Executor.get_class(config), log_stats=False)
    try:
        found = compare(facts_of(config))
    finally:
        core.shutdown()
    if found is None:
        raise RuntimeError("the engine's memory is not known")
    return found.planned_blocks, found.engine_blocks


def main(arguments: list[str]) -> None:
    """GiB, block tokens and ranks of each engine, or all combinations; one JSON line each."""
    numbers = [int(text) for text in arguments]
    asked = [numbers[at : at + 3] for at in range(0, len(numbers), 3)]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "config.json").write_text(json.dumps(SHAPE))
        for space, size, ranks in asked or itertools.product(SPACES_GIB, BLOCKS_TOKENS, RANKS):
            planned, real = blocks(folder, space, size, ranks)
            row = {"space_gib": space, "block_tokens": size, "tp": ranks}
            sys.stdout.write(json.dumps(row | {"planned": planned, "engine": real}) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
