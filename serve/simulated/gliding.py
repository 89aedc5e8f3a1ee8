"""Steps in which vLLM's scheduler has nothing to decide, worked out without asking it.

While nobody comes, what it orders next is known: every answer gets one token, and a block of the
cache when its last one is full; the one prompt that is being computed gets the rest of the step; an
answer whose last token was computed is gone. A glide counts that, and has the scheduler brought to
where it would be (`landing`) whenever a prompt or an answer is over. It ends before anything is to
be decided: before the cache is full, before one who waits would be looked at, when a request comes.

Orders are counted from the one on its way when the glide begins, number 0. An order goes out while
the one before it is computed, so that an answer is in one more after that of its last token, for
nothing, unless its end was known beforehand: at its limit.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

from admission.speed.step import StepContents
from serve.simulated.landing import Landing, Ordered
from serve.simulated.sequence import Sequence

_LEAST_FULL_STEPS = 2  # of a prompt before which somebody waits: for fewer it is not worth landing


class Answer:
    """One that decodes: from which order on, with which it gets its last token and leaves."""

    __slots__ = ("fills", "first", "last", "leaves", "request", "sequence", "tokens_before")

    def __init__(self, request: Any, sequence: Sequence, *, first: int, block_tokens: int) -> None:
        self.request, self.sequence, self.first = request, sequence, first
        self.last = first - 1 + sequence.tokens_to_order
        self.leaves = self.last if sequence.ends_at_limit else self.last + 1
        # what it has when order n is computed, less n
        self.tokens_before = request.num_prompt_tokens + sequence.ordered_tokens - first
        # it takes a block with every order that is this, modulo the tokens of a block
        self.fills = (first - request.num_computed_tokens) % block_tokens


class Glide:
    """Orders that follow the one on its way, as far as nothing is to be decided."""

    def __init__(self, scheduler: Any, sequences: Mapping[str, Sequence]) -> None:
        self._scheduler = scheduler
        self._landing = Landing(scheduler)
        self._pool = scheduler.kv_cache_manager.block_pool
        self._blocks: int = self._pool.num_gpu_blocks - 1
        self._free_blocks: int = self._pool.get_num_free_blocks()
        self._block_tokens: int = scheduler.block_size
        self._budget_tokens: int = scheduler.max_num_scheduled_tokens
        self._somebody_waits: bool = scheduler.get_request_counts()[1] > 0
        self._sequences = sequences
        self.orders = self._landed = 0  # the latter are known to the scheduler
        self._answers: dict[str, Answer] = {}
        self._decodes = self._context_tokens = 0  # of the next order
        self._going_on = 0  # answers whose last token is still to be ordered
        self._fills: Counter[int] = Counter()  # answers by `fills`
        self._by_last: dict[int, list[Answer]] = defaultdict(list)
        self._by_leaving: dict[int, list[Answer]] = defaultdict(list)
        self._prompt: Any = None  # the request whose prompt is being computed
        self._computed_tokens = self._left_tokens = 0  # of it, with all orders
        self._chunk_tokens = 0  # of it, in the last order
        self._begun: Answer | None = None  # whose prompt was over with the last order
        self._useless: list[str] = []  # in the last order for nothing
        self.sampled: dict[str, Sequence] = {}  # who gets a token in the step that runs
        self.ended: list[Answer] = []  # for whom it is the last
        for request in scheduler.running:
            if request.is_prefill_chunk:
                self._prompt = request
                self._computed_tokens = request.num_computed_tokens
                self._left_tokens = request.num_tokens - request.num_computed_tokens
            else:
                self.sampled[request.request_id] = self._decode(request).sequence

    def _decode(self, request: Any) -> Answer:
        """It is an answer in the next order, and on."""
        key, first = request.request_id, self.orders + 1
        answer = Answer(request, self._sequences[key], first=first, block_tokens=self._block_tokens)
        self._answers[key] = answer
        self._by_last[answer.last].append(answer)
        if answer.leaves >= first:
            self._by_leaving[answer.leaves].append(answer)
            self._decodes += 1
            self._context_tokens += answer.tokens_before + first
            self._fills[answer.fills] += 1
        self._going_on += answer.last >= first
        return answer

    @property
    def worth_it(self) -> bool:
        """Whether there is anything to save."""
        room = self._budget_tokens - self._decodes
        return not self._looks_at_line or self._left_tokens >= _LEAST_FULL_STEPS * room

    @property
    def kv_used_ratio(self) -> float:
        """As vLLM tells it with the record of the step that runs."""
        return 1.0 - (self._free_blocks / self._blocks)

    # -- ordering --------------------------------------------------------------------------

    def order(self) -> StepContents | None:
        """The next order; None where the scheduler is to decide."""
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
        self._hear_of_last()
        self._count(chunk_tokens)
        self._end_answers()
        return contents

    def _next_chunk(self) -> int | None:
        """Prompt tokens of the next order; None where one who waits would be looked at."""
        room, left = self._budget_tokens - self._decodes, self._left_tokens
        if room <= 0 or (left < room and self._looks_at_line):
            return None
        return min(left, room)

    @property
    def _looks_at_line(self) -> bool:
        """Whether it would look at one who waits if a step had tokens to spare."""
        scheduler = self._scheduler
        return self._somebody_waits and len(scheduler.running) < scheduler.max_num_active_reqs

    def _blocks_of(self, tokens: int) -> int:
        return -(-tokens // self._block_tokens)

    def _hear_of_last(self) -> None:
        """The record that comes next is that of the order that was the last until now."""
        for answer in self.ended:
            del self.sampled[answer.request.request_id]
        self.ended = []
        if self._begun:
            self.sampled[self._begun.request.request_id] = self._begun.sequence
            self._begun = None

    def _count(self, chunk_tokens: int) -> None:
        """One more order; whose last it is are not in the next one."""
        self.orders += 1
        self._context_tokens += self._decodes
        for answer in self._by_leaving.pop(self.orders, ()):
            self._decodes -= 1
            self._context_tokens -= answer.tokens_before + self.orders + 1
            self._fills[answer.fills] -= 1
        self._going_on -= len(self._by_last.get(self.orders, ()))
        self._chunk_tokens = chunk_tokens
        self._computed_tokens += chunk_tokens
        self._left_tokens -= chunk_tokens

    def _end_answers(self) -> None:
        """What the step before this order ends: answers; what this order ends: the prompt."""
        self.ended = self._by_last.pop(self.orders - 1, [])
        prompt_over = self._chunk_tokens and not self._left_tokens
        self._useless = []
        if not (self.ended or prompt_over):
            return
        self._catch_up()
        for answer in self.ended:
            key = answer.request.request_id
            self._landing.finish(key)
            del self._answers[key]
            if answer.leaves == self.orders:
                self._useless.append(key)
        self._free_blocks = self._pool.get_num_free_blocks()
        if prompt_over:
            self._landing.begin(self._prompt)
            self._sequences[self._prompt.request_id].ordered_tokens += 1
            self._begun = self._decode(self._prompt)
            self._prompt = None

    # -- landing ---------------------------------------------------------------------------

    def _catch_up(self) -> None:
        """The scheduler has made all orders so far, and heard of all but the last."""
        orders = self.orders - self._landed
        for answer in self._answers.values():
            in_order = min(self.orders, answer.leaves) - self._landed
            self._landing.decode(answer.request, orders=in_order, heard=orders)
            answer.sequence.ordered_tokens += min(self.orders, answer.last) - self._landed
        if self._prompt:
            self._landing.compute(self._prompt, self._computed_tokens)
        self._landed = self.orders

    def land(self) -> Ordered | None:
        """Bring the scheduler to where these orders would have brought it.

        Returns what it would have on its way, None where that is what it has.
        """
        if not self.orders:
            return None
        self._catch_up()
        ordered = Ordered()
        for key, answer in self._answers.items():
            if answer.first <= self.orders <= answer.leaves:
                ordered.tokens[key] = 1
                ordered.said[key] = [answer.sequence.newest_token]
        for key in self._useless:
            ordered.tokens[key] = 1
        if self._chunk_tokens:
            self._land_prompt(ordered)
        self._landing.on_its_way(ordered)
        return ordered

    def _land_prompt(self, ordered: Ordered) -> None:
        request = self._begun.request if self._begun else self._prompt
        ordered.tokens[request.request_id] = self._chunk_tokens
        ordered.prompts.add(request.request_id)
        if self._begun:
            ordered.said[request.request_id] = [self._begun.sequence.newest_token]


def glide_from(
    scheduler: Any, sequences: Mapping[str, Sequence], on_its_way: StepContents | None
) -> Glide | None:
    """A glide, where nothing is to be decided about what follows the order on its way."""
    if on_its_way is None or not _foreseen(scheduler, on_its_way):
        return None
    glide = Glide(scheduler, sequences)
    return glide if glide.worth_it else None


def _foreseen(scheduler: Any, on_its_way: StepContents) -> bool:
    """Whether all that run are in the order on its way, and go on as a glide has it."""
    running, config = scheduler.running, scheduler.scheduler_config
    if not running or scheduler.num_lookahead_tokens or config.long_prefill_token_threshold:
        return False
    if on_its_way.prefill_tokens and any(request.num_preemptions for request in running):
        return False  # what is computed again counts otherwise in vLLM's records
    *others, last = running
    placeholders = 0 if last.is_prefill_chunk else 1  # tokens on their way
    if last.num_output_placeholders != placeholders:
        return False
    if any(request.num_output_placeholders != 1 for request in others):
        return False
    longest = max(request.num_prompt_tokens + request.max_tokens for request in running)
    return bool(longest <= scheduler.max_model_len)  # else it may be cut before its limit
