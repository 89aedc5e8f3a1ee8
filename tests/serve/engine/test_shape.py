"""What an engine can hold, by what it says of its KV-cache groups."""

from types import SimpleNamespace
from typing import Any

import pytest

from serve.engine.shape import EngineStartError, shape_of


def config(
    *, blocks: int | None = 1000, max_model_len: int = 8192, block_size: int = 16, ahead: int = 0
) -> Any:
    """A VllmConfig as far as it is read."""
    speculative = SimpleNamespace(num_speculative_tokens=ahead) if ahead else None
    return SimpleNamespace(
        cache_config=SimpleNamespace(
            num_gpu_blocks=blocks, block_size=block_size, enable_prefix_caching=True
        ),
        scheduler_config=SimpleNamespace(
            max_num_active_seqs=None,
            max_num_seqs=32,
            max_num_batched_tokens=512,
            async_scheduling=True,
        ),
        model_config=SimpleNamespace(max_model_len=max_model_len),
        speculative_config=speculative,
    )


def group(kind: str, block_size: int = 16) -> dict[str, Any]:
    return {"group_idx": 0, "kind": kind, "block_size": block_size, "sliding_window": None}


@pytest.mark.parametrize("max_model_len", [8191, 8192, 8193, 10_000, 202_752, 1])
@pytest.mark.parametrize("block_size", [16, 128])
def test_the_longest_request_need_be_no_multiple_of_a_block(
    max_model_len: int, block_size: int
) -> None:
    told = config(max_model_len=max_model_len, block_size=block_size)
    shape = shape_of(told, [group("full_attention", block_size)])
    assert (shape.usable_blocks, shape.block_tokens) == (999, block_size)
    assert shape.max_model_len == max_model_len


@pytest.mark.parametrize("kind", ["full_attention", "mla_attention", "sink_full_attention"])
def test_one_group_that_grows_with_every_token_is_priced(kind: str) -> None:
    assert shape_of(config(), [group(kind, 64)]).block_tokens == 64


def test_a_window_that_is_held_like_full_attention_is_priced() -> None:
    """What the flag that the refusal names makes of a model with windows."""
    told = group("full_attention") | {"sliding_window": 1024}
    assert shape_of(config(), [told]).block_tokens == 16


def test_drafted_and_asynchronous_tokens_are_ahead() -> None:
    assert shape_of(config(ahead=3), [group("full_attention")]).lookahead_tokens == 4


@pytest.mark.parametrize(
    "kinds",
    [
        ["full_attention", "sliding_window"],
        ["sliding_window", "full_attention", "sliding_window"],
        ["full_attention", "chunked_local_attention"],
        ["mla_attention", "sliding_window_mla"],
        ["full_attention", "full_attention"],
    ],
)
def test_a_refusal_of_windows_names_the_argument_that_helps(kinds: list[str]) -> None:
    with pytest.raises(EngineStartError) as refused:
        shape_of(config(), [group(kind) for kind in kinds])
    assert "disable_hybrid_kv_cache_manager: true" in str(refused.value)
    assert f"{len(kinds)} KV-cache groups" in str(refused.value)


@pytest.mark.parametrize(
    "kinds",
    [
        ["full_attention", "mamba"],
        ["mamba"],
        ["sliding_window"],
        ["unknown"],
        ["full_attention", "cross_attention"],
        ["full_attention", "sliding_window", "mamba"],
    ],
)
def test_what_no_argument_helps_is_refused_by_its_kind(kinds: list[str]) -> None:
    with pytest.raises(EngineStartError) as refused:
        shape_of(config(), [group(kind) for kind in kinds])
    assert ", ".join(kinds) in str(refused.value)
    assert "disable_hybrid" not in str(refused.value)


@pytest.mark.parametrize(("blocks", "groups"), [(0, [group("full_attention")]), (1000, [])])
def test_an_engine_without_a_cache_is_refused(blocks: int, groups: list[dict[str, Any]]) -> None:
    with pytest.raises(EngineStartError, match="only generation models"):
        shape_of(config(blocks=blocks), groups)
