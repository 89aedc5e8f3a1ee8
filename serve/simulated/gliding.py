"""Steps in which everybody decodes and nobody comes or ends, entered into vLLM's scheduler at once.

Most steps of a lightly loaded engine are such, and what the scheduler does in them is known: every
sequence gets one token, and a block of the cache when its last one is full. A glide counts them,
and `land` brings the scheduler to where it would be: slots, tokens and names of blocks as by its
own calls, one for each sequence in place of one for each step. It ends before anything is to be
decided: before an answer ends, before the cache is full, and when a request comes.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from admission.step_time import StepContents
from serve.simulated.sequence import WORD, Sequence

_LEAST_STEPS = 2  # for fewer it is not worth landing


class Glide:
    """From an order on its way, in which each of `sequences` decodes, so many orders more."""

    def __init__(
        self, scheduler: Any, sequences: Mapping[str, Sequence], on_its_way: StepContents
    ) -> None:
        self._scheduler = scheduler
        self.sequences = dict(sequences)  # who comes meanwhile is not in it
        self._context_tokens = on_its_way.decode_context_tokens
        self._steps = 0
        self._steps_left = min(each.words_to_order for each in sequences.values())
        pool = scheduler.kv_cache_manager.block_pool
        self._blocks: int = pool.num_gpu_blocks - 1
        self._free_blocks: int = pool.get_num_free_blocks()
        self._block_tokens: int = scheduler.block_size
        room = scheduler.max_model_len - 2  # with the order on its way and one behind it
        for request in scheduler.running:
            self._steps_left = min(self._steps_left, room - request.num_computed_tokens)
        # sequences by the number of orders that fill their last block
        self._fill = Counter(
            -request.num_computed_tokens % self._block_tokens for request in scheduler.running
        )

    @property
    def worth_it(self) -> bool:
        """Whether there is anything to save."""
        return self._steps_left >= _LEAST_STEPS

    @property
    def kv_used_ratio(self) -> float:
        """As vLLM tells it with the record of the step that runs."""
        return 1.0 - (self._free_blocks / self._blocks)

    def order(self) -> StepContents | None:
        """The next order; None where the scheduler is to decide."""
        blocks = self._fill[self._steps % self._block_tokens]
        if self._steps == self._steps_left or blocks > self._free_blocks:
            return None
        self._free_blocks -= blocks
        self._steps += 1
        count = len(self.sequences)
        self._context_tokens += count
        return StepContents(count, self._context_tokens)

    def land(self) -> None:
        """Bring the scheduler to where these orders would have brought it."""
        steps, cache = self._steps, self._scheduler.kv_cache_manager
        if not steps:
            return
        words = [WORD] * steps
        for request in self._scheduler.running:
            if cache.allocate_slots(request, steps) is None:
                raise RuntimeError("the scheduler has no blocks for steps that had some")
            request.append_output_token_ids(words)
            request.num_computed_tokens += steps
            known = request.num_computed_tokens - request.num_output_placeholders
            cache.cache_blocks(request, known)
            self.sequences[request.request_id].ordered_tokens += steps


def glide_from(
    scheduler: Any, sequences: Mapping[str, Sequence], on_its_way: StepContents | None
) -> Glide | None:
    """A glide, where the order on its way has everybody decode and nothing is to be decided."""
    if on_its_way is None or on_its_way.prefill_tokens or not sequences:
        return None
    count = len(sequences)
    if on_its_way.decode_sequences != count or scheduler.get_request_counts() != (count, 0):
        return None
    if scheduler.finished_req_ids or scheduler.num_lookahead_tokens:
        return None
    if count > scheduler.max_num_scheduled_tokens:
        return None
    if any(request.num_output_placeholders != 1 for request in scheduler.running):
        return None  # somebody is not in the order on its way
    glide = Glide(scheduler, sequences, on_its_way)
    return glide if glide.worth_it else None
