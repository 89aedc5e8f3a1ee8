"""Which prefixes the engine has in its cache: held by leases, or not yet overwritten.

A prompt's full blocks are hashed in chunks of some 128 tokens. A hash covers all tokens up to the
end of its chunk, so prompts that begin alike have the same first hashes. The engine is not asked.
As in vLLM, a chunk that no request holds joins the end of the free blocks, its last part first, and
is lost when all blocks before it have been taken again.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace

from admission.price.cache_hits import CacheHits
from admission.price.footprint import EngineShape, Found, RequestShape

PrefixHashes = tuple[int, ...]  # names of the chunks of a prompt, from its beginning

_SHARED_RATIO = 0.8  # of the predicted hits; below, the cache does not behave as modelled here
_CHUNK_TOKENS = 128  # finer names gain half a chunk a prompt and cost as much more to keep


def chunk_blocks(block_tokens: int) -> int:
    """Blocks per chunk; 1 where a block has as many tokens."""
    return max(1, _CHUNK_TOKENS // block_tokens)


def chunk_tokens(block_tokens: int) -> int:
    """Tokens per chunk, in whole blocks."""
    return chunk_blocks(block_tokens) * block_tokens


def named_chunks(prompt_tokens: int, block_tokens: int) -> int:
    """Chunks of a prompt that can be found in the cache; vLLM always computes the last token."""
    return max(0, prompt_tokens - 1) // chunk_tokens(block_tokens)


class Prefixes:
    """The names of one engine's blocks. Nothing is found where it caches no prefixes."""

    def __init__(self, engine: EngineShape) -> None:
        self._blocks = chunk_blocks(engine.block_tokens)
        self._tokens = chunk_tokens(engine.block_tokens)
        self._caching = engine.prefix_caching
        self._held: dict[int, int] = {}  # name -> prompts that hold it
        # free blocks that were used before, the first to be taken again first: by name, or by a
        # number below 0 where no prompt can match them
        self._free: OrderedDict[int, int] = OrderedDict()
        self._free_blocks = 0
        self._unnamed = 0
        self.hits = CacheHits()
        self.version = 0  # grows whenever `find` may answer differently

    def find(self, hashes: PrefixHashes) -> Found:
        """How much of a prompt is cached."""
        held = 0
        for name in hashes:
            if name not in self._held:
                break
            held += 1
        cached = held
        for name in hashes[held:]:
            if name not in self._free:
                break
            cached += 1
        return Found(held * self._tokens, cached * self._tokens)

    def names(self) -> frozenset[int]:
        """Of all chunks that are cached."""
        return frozenset(self._held).union(name for name in self._free if name >= 0)

    def look_up(self, shape: RequestShape, known: Callable[[PrefixHashes], int]) -> RequestShape:
        """The shape with the cached part of its prompts, as far as recent forecasts came true.

        `known` returns the chunks that the ledger counts. Where forecasts fail, nothing counts as
        held by others: the newcomer may have to hold its own.
        """
        if not any(prompt.prefix_hashes for prompt in shape.prompts):
            return shape
        ratio, prompts = self.hits.ratio, []
        for prompt in shape.prompts:
            known_tokens = (
                known(prompt.prefix_hashes) * self._tokens if ratio >= _SHARED_RATIO else 0
            )
            cached = int(self.find(prompt.prefix_hashes).cached_tokens * ratio)
            found = Found(known_tokens, max(known_tokens, cached))
            prompts.append(replace(prompt, found=found))
        return replace(shape, prompts=tuple(prompts))

    def hold(self, hashes: PrefixHashes) -> None:
        """A prompt was accepted."""
        if not (hashes and self._caching):
            return
        self.version += 1
        for name in hashes:
            self._held[name] = self._held.get(name, 0) + 1
            self._free_blocks -= self._free.pop(name, 0)

    def let_go(self, hashes: PrefixHashes, *, computed_tokens: int) -> None:
        """The prompt is over; what was not computed of it is in no cache, unless others hold it."""
        if not (hashes and self._caching):
            return
        self.version += 1
        computed = self._computed(hashes, computed_tokens)
        for place in reversed(range(len(hashes))):
            name = hashes[place]
            self._held[name] -= 1
            if not self._held[name]:
                del self._held[name]
                if place < computed:
                    self._add(name, self._blocks)

    def blocks_of(self, hashes: PrefixHashes, *, computed_tokens: int) -> int:
        """Blocks in the named chunks of a prompt with `computed_tokens` computed."""
        return self._computed(hashes, computed_tokens) * self._blocks

    def _computed(self, hashes: PrefixHashes, tokens: int) -> int:
        return min(len(hashes), tokens // self._tokens)

    def pass_over(self, blocks: int) -> None:
        """Count freed blocks whose text no prompt will match: mostly of completions."""
        if blocks and self._caching:
            self._unnamed -= 1
            self._add(self._unnamed, blocks)

    def _add(self, name: int, blocks: int) -> None:
        self._free[name] = blocks
        self._free_blocks += blocks

    def keep(self, free_blocks: int) -> None:
        """Only `free_blocks` are free now: forget what was freed before the last of them."""
        while self._free_blocks > free_blocks:
            name, blocks = self._free.popitem(last=False)
            self._free_blocks -= blocks
            taken = self._free_blocks < free_blocks
            if name < 0 and taken:  # in part
                self._free[name] = free_blocks - self._free_blocks
                self._free.move_to_end(name, last=False)
                self._free_blocks = free_blocks
            self.version += name >= 0
