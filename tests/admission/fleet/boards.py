"""Boards of engines that differ in what a test is about."""

from dataclasses import replace

from admission.fleet.board import PROMPT_SIZES, Board

IDLE = Board(
    at_s=0.0,
    open=True,
    capacity_tokens=16_000,
    max_model_len=8_000,
    ttft_s=tuple(0.001 * size for size in PROMPT_SIZES),
    prefill_token_s=0.001,
    requests=0,
    backlog_tokens=0,
    held_ratio=0.0,
    peak_ratio=0.0,
    chunk_tokens=128,
    prefixes=frozenset(),
)


def board(**changes: object) -> Board:
    return replace(IDLE, **changes)  # type: ignore[arg-type]
