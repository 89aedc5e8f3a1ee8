"""A block allocator that follows vLLM's scheduler, and a driver that offers traffic through it.

What it keeps of vLLM: running sequences first, in order of arrival; prompts in chunks, whole
prompt must fit before the first; blocks on demand; the last arrived is preempted when none is
left; sequences whose prompts begin alike share full blocks, which stay cached when they are free
until they are taken again; a token when everything is computed; messages reach the engine after a
step or two; an asynchronous scheduler is one step ahead.
"""

from collections import Counter, OrderedDict, deque
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field

import numpy as np

from admission.exchange import StepRecord
from admission.price.footprint import EngineShape, blocks_for
from admission.price.prefixes import chunk_blocks


@dataclass(eq=False)
class Sequence:
    """One sequence in the engine.

    `family` names those that share a prompt, `prefix_hashes` what it shares with other families.
    """

    row: int
    prompt_tokens: int
    output_tokens: int
    family: int | None = None
    prefix_hashes: tuple[int, ...] = ()
    computed: int = 0
    sampled: int = 0  # tokens scheduled to be generated, seen or not
    generated: int = 0  # tokens seen
    blocks: list[int] = field(default_factory=list)


class TinyEngine:
    """`usable_blocks` blocks, one token a step."""

    def __init__(self, shape: EngineShape, *, message_steps: int = 1) -> None:
        self.shape = shape
        self.preemptions = self._told_preemptions = 0
        self.waiting: deque[Sequence] = deque()
        self.running: list[Sequence] = []
        self._references: Counter[int] = Counter()
        self._bare: list[int] = []  # free and without text; the last is taken first, then
        self._fresh = range(shape.usable_blocks)  # never used, in order, and at last
        self._cached: OrderedDict[int, None] = OrderedDict()  # free with text, the oldest first
        self._block: dict[Hashable, int] = {}  # name -> block that has its text
        self._name: dict[int, Hashable] = {}
        self._messages: deque[list[tuple[str, Sequence]]] = deque(
            [[] for _ in range(message_steps)]
        )
        self._outbox: list[tuple[str, Sequence]] = []
        self._in_flight: deque[list[Sequence]] = deque([[] for _ in range(shape.lookahead_tokens)])

    @property
    def _free_blocks(self) -> int:
        return len(self._bare) + len(self._fresh) + len(self._cached)

    @property
    def used_blocks(self) -> int:
        return self.shape.usable_blocks - self._free_blocks

    @property
    def unfinished(self) -> int:
        return len(self.waiting) + len(self.running)

    def add(self, sequences: Iterable[Sequence]) -> None:
        self._outbox.extend(("add", each) for each in sequences)

    def abort(self, sequences: Iterable[Sequence]) -> None:
        self._outbox.extend(("abort", each) for each in sequences)

    # -- one step --------------------------------------------------------------------------

    def step(self) -> StepRecord:
        self._take_messages()
        prefill = cached = decode = 0
        budget = self.shape.max_batched_tokens
        sampling: list[Sequence] = []
        for sequence in list(self.running):
            if sequence not in self.running or sequence.sampled >= sequence.output_tokens:
                continue
            new = min(sequence.prompt_tokens + sequence.sampled - sequence.computed, budget)
            if new == 0 or not self._allocate(sequence, sequence.computed + new):
                continue
            prefill, decode = self._count(sequence, new, prefill, decode)
            budget -= self._compute(sequence, new, sampling)
        while budget and self.waiting and len(self.running) < self.shape.max_sequences:
            sequence = self.waiting[0]
            hits = self._hits(sequence)
            tokens = sequence.prompt_tokens + sequence.sampled
            whole = blocks_for(tokens, block_tokens=self.shape.block_tokens)
            if whole - sum(block not in self._cached for block in hits) > self._free_blocks:
                break
            self.running.append(self.waiting.popleft())
            for block in hits:
                self._cached.pop(block, None)
                self._references[block] += 1
            sequence.blocks = list(hits)
            sequence.computed = len(hits) * self.shape.block_tokens
            cached += sequence.computed
            new = min(tokens - sequence.computed, budget)
            assert self._allocate(sequence, sequence.computed + new)
            prefill += new
            budget -= self._compute(sequence, new, sampling)
        self._in_flight.append(sampling)
        ended = self._see(self._in_flight.popleft())
        return self._record(ended, prefill, cached, decode)

    def _take_messages(self) -> None:
        self._messages.append(self._outbox)
        self._outbox = []
        for verb, sequence in self._messages.popleft():
            if verb == "add":
                self.waiting.append(sequence)
            elif sequence in self.waiting:
                self.waiting.remove(sequence)
            elif sequence in self.running:
                self.running.remove(sequence)
                self._release(sequence)

    def _hits(self, sequence: Sequence) -> list[int]:
        hits: list[int] = []
        for place in range((sequence.prompt_tokens - 1) // self.shape.block_tokens):
            block = self._block.get(self._name_at(sequence, place))
            if block is None:
                break
            hits.append(block)
        return hits

    def _name_at(self, sequence: Sequence, place: int) -> Hashable:
        """The name of a full block of a prompt; None where it is like no other."""
        if not self.shape.prefix_caching:
            return None
        chunk, part = divmod(place, chunk_blocks(self.shape.block_tokens))
        if chunk < len(sequence.prefix_hashes):
            return sequence.prefix_hashes[chunk], part
        return None if sequence.family is None else ("family", sequence.family, place)

    def _allocate(self, sequence: Sequence, tokens: int) -> bool:
        missing = blocks_for(tokens, block_tokens=self.shape.block_tokens) - len(sequence.blocks)
        while missing > self._free_blocks:
            self.preemptions += 1
            victim = self.running.pop()
            self._release(victim)
            victim.computed = 0
            victim.sampled = victim.generated
            self.waiting.appendleft(victim)
            if victim is sequence:
                return False
        for _ in range(missing):
            block = self._take()
            self._block.pop(self._name.pop(block, None), None)
            self._references[block] = 1
            sequence.blocks.append(block)
        self._cache(sequence, tokens)
        return True

    def _take(self) -> int:
        if self._bare:
            return self._bare.pop()
        if self._fresh:
            block, self._fresh = self._fresh[0], self._fresh[1:]
            return block
        return self._cached.popitem(last=False)[0]

    def _cache(self, sequence: Sequence, tokens: int) -> None:
        """Name the blocks that are full; of several with the same text the first is found."""
        if sequence.family is None and not sequence.prefix_hashes:
            return  # like no other: none of its blocks has a name
        for place in range(min(tokens, sequence.prompt_tokens) // self.shape.block_tokens):
            block, name = sequence.blocks[place], self._name_at(sequence, place)
            if name is not None and name not in self._block and block not in self._name:
                self._block[name] = block
                self._name[block] = name

    @staticmethod
    def _count(sequence: Sequence, new: int, prefill: int, decode: int) -> tuple[int, int]:
        in_prompt = sequence.computed < sequence.prompt_tokens
        return (prefill + new, decode) if in_prompt else (prefill, decode + new)

    @staticmethod
    def _compute(sequence: Sequence, new: int, sampling: list[Sequence]) -> int:
        sequence.computed += new
        if sequence.computed == sequence.prompt_tokens + sequence.sampled:
            sequence.sampled += 1
            sampling.append(sequence)
        return new

    def _see(self, sampled: list[Sequence]) -> list[int]:
        ended = []
        for sequence in sampled:
            if sequence not in self.running:
                continue
            sequence.generated += 1
            if sequence.generated == sequence.output_tokens:
                self.running.remove(sequence)
                ended.append(sequence.row)
                self._release(sequence)
        return ended

    def _release(self, sequence: Sequence) -> None:
        for block in reversed(sequence.blocks):
            self._references[block] -= 1
            if self._references[block]:
                continue
            if block in self._name:
                self._cached[block] = None
            else:
                self._bare.append(block)
        sequence.blocks = []

    def _record(self, ended: list[int], prefill: int, cached: int, decode: int) -> StepRecord:
        unfinished = [*self.running, *self.waiting]
        preempted, self._told_preemptions = (
            self.preemptions - self._told_preemptions,
            self.preemptions,
        )
        return StepRecord(
            rows=np.array([each.row for each in unfinished], dtype=np.int64),
            generated=np.array([each.generated for each in unfinished], dtype=np.int64),
            prefill_tokens=prefill,
            cached_tokens=cached,
            decode_tokens=decode,
            elapsed_s=0.02 + 0.0004 * prefill + 0.0003 * decode,
            kv_used_ratio=self.used_blocks / self.shape.usable_blocks,
            preempted=preempted,
            ended=tuple(ended),
        )
