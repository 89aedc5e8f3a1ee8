"""Computes the steps in which vLLM's scheduler has nothing to decide, without calling it.

Until a request arrives, the next order is known: every decoding sequence gets one token, and a new
block when its last block is full; the one prompt being computed gets the rest of the step; a
sequence leaves when its last token is computed. `FastForward` counts this. Whenever a prompt or a
completion ends, it brings the scheduler to the state that the skipped steps would have left
(`state_sync`). It stops before the next decision: before the cache is full, before a waiting
request would be considered, when a request arrives.

An order is what the scheduler asks of the engine for one step. Orders are counted from the one in
flight when the fast-forward begins, number 0. An order goes out while the one before it is
computed, so a sequence is in one order too many, unless its end was known beforehand: at its limit.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

from admission.price.footprint import blocks_for
from admission.speed.step import StepContents
from serve.simulated.sequence import Sequence
from serve.simulated.state_sync import Ordered, StateSync

_LEAST_FULL_STEPS = 2  # of a prompt with requests waiting behind it: for fewer, syncing costs more


class Decoding:
    """A decoding sequence: its first order, the one of its last token, the one it leaves with."""

    __slots__ = ("fills", "first", "last", "leaves", "request", "simulated", "tokens_before")

    def __init__(self, request: Any, sequence: Sequence, *, first: int, block_tokens: int) -> None:
        self.request, self.simulated, self.first = request, sequence, first
        self.last = first - 1 + sequence.tokens_to_order
        self.leaves = self.last if sequence.ends_at_limit else self.last + 1
        # its tokens when order n is computed, less n
        self.tokens_before = request.num_prompt_tokens + sequence.ordered_tokens - first
        # it takes a block with every order whose number, modulo the block size, is this
        self.fills = (first - request.num_computed_tokens) % block_tokens


class FastForward:
    """The orders after the one in flight, until the scheduler has something to decide."""

    def __init__(self, scheduler: Any, sequences: Mapping[str, Sequence]) -> None:
        self._scheduler = scheduler
        self._sync = StateSync(scheduler)
        self._pool = scheduler.kv_cache_manager.block_pool
        self._blocks: int = self._pool.num_gpu_blocks - 1
        self._free_blocks: int = self._pool.get_num_free_blocks()
        self._block_tokens: int = scheduler.block_size
        self._budget_tokens: int = scheduler.max_num_scheduled_tokens
        self._has_waiting: bool = scheduler.get_request_counts()[1] > 0
        self._sequences = sequences
        self.orders = self._synced = 0  # how many orders there are; how many the scheduler knows
        self._decoding: dict[str, Decoding] = {}
        self._decodes = self._context_tokens = 0  # in the next order
        self._going_on = 0  # sequences whose last token is not ordered yet
        self._fills: Counter[int] = Counter()  # sequences by `fills`
        self._by_last: dict[int, list[Decoding]] = defaultdict(list)
        self._by_leaving: dict[int, list[Decoding]] = defaultdict(list)
        self._prompt: Any = None  # the request whose prompt is being computed
        self._computed_tokens = self._left_tokens = 0  # of that prompt, with all orders
        self._chunk_tokens = 0  # of that prompt, in the last order
        self._begun: Decoding | None = None  # the sequence whose prompt ended with the last order
        self._useless: list[str] = []  # sequences in the last order that had ended already
        self.sampled: dict[str, Sequence] = {}  # sequences that get a token in the running step
        self.ended: list[Decoding] = []  # those of them whose last token it is
        for request in scheduler.running:
            if request.is_prefill_chunk:
                self._prompt = request
                self._computed_tokens = request.num_computed_tokens
                self._left_tokens = request.num_tokens - request.num_computed_tokens
            else:
                self.sampled[request.request_id] = self._decode(request).simulated

    def _decode(self, request: Any) -> Decoding:
        """Adds a decoding sequence, from the next order on."""
        key, first = request.request_id, self.orders + 1
        sequence = Decoding(
            request, self._sequences[key], first=first, block_tokens=self._block_tokens
        )
        self._decoding[key] = sequence
        self._by_last[sequence.last].append(sequence)
        if sequence.leaves >= first:
            self._by_leaving[sequence.leaves].append(sequence)
            self._decodes += 1
            self._context_tokens += sequence.tokens_before + first
            self._fills[sequence.fills] += 1
        self._going_on += sequence.last >= first
        return sequence

    @property
    def worth_it(self) -> bool:
        """Whether skipping saves more than syncing costs."""
        room = self._budget_tokens - self._decodes
        return not self._considers_waiting or self._left_tokens >= _LEAST_FULL_STEPS * room

    @property
    def kv_used_ratio(self) -> float:
        """As vLLM reports it with the record of the running step."""
        return 1.0 - (self._free_blocks / self._blocks)

    # -- ordering --------------------------------------------------------------------------

    def order(self) -> StepContents | None:
        """The next order; None if the scheduler has to decide."""
        chunk_tokens = self._next_chunk()
        if chunk_tokens is None or not (chunk_tokens or self._going_on):
            return None
        blocks = self._fills[(self.orders + 1) % self._block_tokens]
        computed_tokens = self._computed_tokens
        if chunk_tokens:
            blocks += self._blocks_of(computed_tokens + chunk_tokens)
            blocks -= self._blocks_of(computed_tokens)
        if blocks > self._free_blocks:
            return None
        self._free_blocks -= blocks
        before = computed_tokens if chunk_tokens else 0
        contents = StepContents(self._decodes, self._context_tokens, chunk_tokens, before)
        self._advance_record()
        self._count(chunk_tokens)
        self._end_sequences()
        return contents

    def _next_chunk(self) -> int | None:
        """Prompt tokens in the next order; None if a waiting request would be considered."""
        room, left = self._budget_tokens - self._decodes, self._left_tokens
        if room <= 0 or (left < room and self._considers_waiting):
            return None
        return min(left, room)

    @property
    def _considers_waiting(self) -> bool:
        """Whether the scheduler would admit a waiting request to a step with tokens to spare."""
        scheduler = self._scheduler
        return self._has_waiting and len(scheduler.running) < scheduler.max_num_active_reqs

    def _blocks_of(self, tokens: int) -> int:
        return blocks_for(tokens, block_tokens=self._block_tokens)

    def _advance_record(self) -> None:
        """The next step record describes the order that was the last until now."""
        for sequence in self.ended:
            del self.sampled[sequence.request.request_id]
        self.ended = []
        if self._begun:
            self.sampled[self._begun.request.request_id] = self._begun.simulated
            self._begun = None

    def _count(self, chunk_tokens: int) -> None:
        """Counts one more order and drops the sequences that leave with it."""
        self.orders += 1
        self._context_tokens += self._decodes
        for sequence in self._by_leaving.pop(self.orders, ()):
            self._decodes -= 1
            self._context_tokens -= sequence.tokens_before + self.orders + 1
            self._fills[sequence.fills] -= 1
        self._going_on -= len(self._by_last.get(self.orders, ()))
        self._chunk_tokens = chunk_tokens
        self._computed_tokens += chunk_tokens
        self._left_tokens -= chunk_tokens

    def _end_sequences(self) -> None:
        """Ends the sequences that finish with the previous step, and a prompt that ends here."""
        self.ended = self._by_last.pop(self.orders - 1, [])
        prompt_over = self._chunk_tokens and not self._left_tokens
        self._useless = []
        if not (self.ended or prompt_over):
            return
        self._catch_up()
        for sequence in self.ended:
            key = sequence.request.request_id
            self._sync.finish(key)
            del self._decoding[key]
            if sequence.leaves == self.orders:
                self._useless.append(key)
        self._free_blocks = self._pool.get_num_free_blocks()
        if prompt_over:
            self._sync.begin(self._prompt)
            self._sequences[self._prompt.request_id].ordered_tokens += 1
            self._begun = self._decode(self._prompt)
            self._prompt = None

    # -- syncing ----------------------------------------------------------------------------

    def _catch_up(self) -> None:
        """Syncs the scheduler: all orders are made, all but the last are computed."""
        orders = self.orders - self._synced
        for sequence in self._decoding.values():
            in_order = min(self.orders, sequence.leaves) - self._synced
            self._sync.decode(sequence.request, orders=in_order, heard=orders)
            sequence.simulated.ordered_tokens += min(self.orders, sequence.last) - self._synced
        if self._prompt:
            self._sync.compute(self._prompt, self._computed_tokens)
        self._synced = self.orders

    def sync(self) -> Ordered | None:
        """Brings the scheduler to the state these orders would have left.

        Returns the order that it would have in flight; None if that is the one it has.
        """
        if not self.orders:
            return None
        self._catch_up()
        ordered = Ordered()
        for key, sequence in self._decoding.items():
            if sequence.first <= self.orders <= sequence.leaves:
                ordered.tokens[key] = 1
                ordered.said[key] = [sequence.simulated.newest_token]
        for key in self._useless:
            ordered.tokens[key] = 1
        if self._chunk_tokens:
            self._sync_prompt(ordered)
        self._sync.on_its_way(ordered)
        return ordered

    def _sync_prompt(self, ordered: Ordered) -> None:
        request = self._begun.request if self._begun else self._prompt
        ordered.tokens[request.request_id] = self._chunk_tokens
        ordered.prompts.add(request.request_id)
        if self._begun:
            ordered.said[request.request_id] = [self._begun.simulated.newest_token]


def fast_forward_from(
    scheduler: Any, sequences: Mapping[str, Sequence], on_its_way: StepContents | None
) -> FastForward | None:
    """A fast-forward, if nothing has to be decided after the order in flight."""
    if on_its_way is None or not _foreseen(scheduler, on_its_way):
        return None
    fast_forward = FastForward(scheduler, sequences)
    return fast_forward if fast_forward.worth_it else None


def _foreseen(scheduler: Any, on_its_way: StepContents) -> bool:
    """Whether every running request is in the order in flight, and goes on predictably."""
    running, config = scheduler.running, scheduler.scheduler_config
    if not running or scheduler.num_lookahead_tokens or config.long_prefill_token_threshold:
        return False
    if on_its_way.prefill_tokens and any(request.num_preemptions for request in running):
        return False  # vLLM counts recomputed tokens differently in its records
    *others, last = running
    placeholders = 0 if last.is_prefill_chunk else 1  # tokens in flight
    if last.num_output_placeholders != placeholders:
        return False
    if any(request.num_output_placeholders != 1 for request in others):
        return False
    longest = max(request.num_prompt_tokens + request.max_tokens for request in running)
    return bool(longest <= scheduler.max_model_len)  # else it may be cut before its limit
