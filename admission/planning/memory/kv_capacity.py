"""The exact part: bytes available for KV -> blocks, tokens and concurrency, as vLLM counts them."""

from dataclasses import dataclass

from admission.planning.memory.engine.arguments import Resolved
from admission.planning.memory.engine.versions import (
    holds_two_batches_in_flight,
    keeps_recurrent_checkpoints,
    prints_tokens_from_concurrency,
)
from admission.planning.memory.kv_layout import Holding, KvLayout, Page


@dataclass(frozen=True, slots=True)
class KvCapacity:
    """The blocks and tokens that an engine gets from its KV memory.

    `blocks` is num_gpu_blocks; one of them is vLLM's null block, so requests can hold
    `usable_blocks`. `printed_tokens` is the log line "GPU KV cache size", whose rule changed with
    0.20.1; `concurrency` is "Maximum concurrency for ... tokens per request".
    """

    blocks: int
    block_tokens: int
    blocks_per_request: int
    concurrency: float
    printed_tokens: int

    @property
    def usable_blocks(self) -> int:
        """Blocks that requests can hold."""
        return max(0, self.blocks - 1)


def kv_capacity(layout: KvLayout, engine: Resolved, available_bytes: float) -> KvCapacity:
    """Blocks = available // bytes of a block; concurrency = blocks / blocks of a full request.

    Printed tokens: up to 0.20.0 (blocks // groups) x block size, from 0.20.1 concurrency x
    max_model_len, cut to an integer; V0 blocks x block size, concurrency from tokens. Decode
    context parallelism multiplies the tokens. Source: vLLM's kv_cache_utils [src], logs.
    `available_bytes` is the least over all ranks: vLLM takes the minimum of their blocks.
    """
    blocks = max(0, int(available_bytes // layout.block_bytes))
    per_request = sum(blocks_per_request(page, engine) for page in layout.groups)
    copies = engine.given.decode_context_parallel_size
    if engine.engine_v0:
        tokens = blocks * layout.block_tokens
        concurrency = tokens / engine.max_model_len
    else:
        concurrency = copies * blocks / per_request
        tokens = blocks // len(layout.groups) * layout.block_tokens * copies
        if prints_tokens_from_concurrency(engine.version):
            tokens = int(concurrency * engine.max_model_len)
    return KvCapacity(blocks, layout.block_tokens, per_request, concurrency, tokens)


def blocks_per_request(page: Page, engine: Resolved) -> int:
    """Blocks that one request of max_model_len holds of a group, L = max_model_len.

    Full attention: ceil(L / block). Window: ceil(min(window - 1 + T, L) / block) + 1, since a
    window can start anywhere in a block. Chunk: ceil(min(chunk + T, L) / block). State: one, plus
    one for each speculative token, plus one checkpoint with prefix caching. T = max_num_batched_
    tokens, or twice that with two batches in flight. Source: vLLM's cache specs [src].
    """
    length = engine.max_model_len
    if page.holding is Holding.EVERYTHING:
        return -(-length // page.tokens)
    if page.holding is Holding.STATE:
        cached = engine.given.enable_prefix_caching and keeps_recurrent_checkpoints(engine.version)
        return 1 + engine.given.num_speculative_tokens + cached
    in_flight = engine.max_batched_tokens * (
        2 if holds_two_batches_in_flight(engine.version) else 1
    )
    if page.holding is Holding.WINDOW:
        return -(-min(page.span_tokens - 1 + in_flight, length) // page.tokens) + 1
    return -(-min(page.span_tokens + in_flight, length) // page.tokens)
