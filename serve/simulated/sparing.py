"""Calls of vLLM's scheduler to its KV cache that would change nothing, left out.

In a step an answer gets one token more. Only where its last block is full does it need another one,
and only when a block is full has it a name to be known by: once in so many steps as a block has
tokens. In all others the cache works out at length, for each answer, that there is nothing to do.
"""

from typing import Any

from vllm.v1.request import Request, RequestStatus


def spare(scheduler: Any) -> None:
    """Ask this scheduler's cache for an answer only where it would change anything."""
    if scheduler.num_lookahead_tokens:
        return  # an answer gets more than one token
    cache, block_tokens = scheduler.kv_cache_manager, scheduler.block_size
    allocate_slots, cache_blocks = cache.allocate_slots, cache.cache_blocks
    nothing = cache.empty_kv_cache_blocks

    def allocate(request: Request, tokens: int, *given: Any, **named: Any) -> Any:
        if (
            tokens == 1
            and request.num_computed_tokens % block_tokens
            and request.num_output_placeholders == 1
            and request.status is RequestStatus.RUNNING
        ):
            return nothing
        return allocate_slots(request, tokens, *given, **named)

    def name(request: Request, known_tokens: int) -> None:
        if not known_tokens % block_tokens:
            cache_blocks(request, known_tokens)

    cache.allocate_slots, cache.cache_blocks = allocate, name
