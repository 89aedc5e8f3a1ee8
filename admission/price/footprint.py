"""What a request will hold in the KV cache: its shape, the engine's limits, and its price."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from admission.price.outlook import Outlook
from admission.terms import refusals
from admission.terms.decision import Rejected


@dataclass(frozen=True, slots=True)
class EngineShape:
    """What the running engine reports of itself; never typed by hand.

    `usable_blocks` leaves out vLLM's null block (num_gpu_blocks - 1). `lookahead_tokens` is how
    far allocation runs ahead of the tokens seen: 0 for synchronous scheduling, 1 for asynchronous.
    """

    usable_blocks: int
    block_tokens: int
    max_sequences: int
    max_model_len: int
    max_batched_tokens: int
    prefix_caching: bool
    lookahead_tokens: int = 0

    @property
    def capacity_tokens(self) -> int:
        """KV tokens that requests can hold: usable blocks x block size."""
        return self.usable_blocks * self.block_tokens


class Found(NamedTuple):
    """Tokens at the beginning of a prompt that leases hold, and that are held or still cached."""

    held_tokens: int = 0
    cached_tokens: int = 0


NOTHING_FOUND = Found()


@dataclass(frozen=True, slots=True)
class PromptShape:
    """One prompt of a request body, as the engine will run it.

    `max_tokens` is vLLM's effective limit (after its own defaults and the model's length), so
    prompt_tokens + max_tokens <= max_model_len. `prefix_hashes` names its chunks (`prefixes`);
    empty where nothing may be shared. `found` is what the engine has of it when it is priced.
    """

    prompt_tokens: int
    max_tokens: int
    prefix_hashes: tuple[int, ...] = ()
    found: Found = NOTHING_FOUND


@dataclass(frozen=True, slots=True)
class RequestShape:
    """Everything about a request body that its price depends on; all prompts, admitted together."""

    prompts: tuple[PromptShape, ...]
    sequences: int = 1  # n: answers per prompt
    min_tokens: int = 0
    ignore_eos: bool = False
    prompt_logprobs: bool = False  # switches prefix sharing off for this request in vLLM
    front_end_stops: bool = (
        False  # stop strings end in the front end; the engine hears a step later
    )

    @property
    def total_sequences(self) -> int:
        """Engine sequences the body turns into: prompts x n."""
        return len(self.prompts) * self.sequences

    @property
    def prompt_tokens(self) -> int:
        """Prompt tokens of all prompts, each counted once."""
        return sum(p.prompt_tokens for p in self.prompts)

    def shares_prompts(self, engine: EngineShape) -> bool:
        """Whether the answers to one prompt hold its full blocks together."""
        return self.sequences > 1 and engine.prefix_caching and not self.prompt_logprobs


def blocks_for(tokens: int, *, block_tokens: int) -> int:
    """Blocks that hold `tokens`; the last block counts in full even if partly empty."""
    return -(-tokens // block_tokens)


class Segment(NamedTuple):
    """A run of KV blocks that lives and grows as one: a sequence, or the prompt several share.

    It holds `prompt_tokens` once they are computed and one token more for each generated one, as
    many as its `outlook` says. A shared prefix (`sequences` 0) is the prompt of `copies`
    completions: it neither grows nor takes a slot, and lives as long as they do. `reserved`
    promises the end from the start.

    The first segment of a prompt has all its `prefix_hashes`. Others count the first `held_tokens`
    of the prompt; of the rest, `cached_tokens` are expected in the cache and need not be computed.
    """

    prompt_tokens: int
    outlook: Outlook
    sequences: int = 1
    copies: int = 1
    reserved: bool = False
    prompt_index: int = 0
    cached_tokens: int = 0
    prefix_hashes: tuple[int, ...] = ()
    held_tokens: int = 0

    @property
    def grow_tokens(self) -> int:
        """The most tokens it may gain while it lives."""
        return self.outlook.most_tokens if self.sequences else 0


class Work(NamedTuple):
    """What a request takes of the engine's time, predicted or measured.

    Prompt tokens computed, sequences x decode steps, and blocks held x decode steps.
    """

    prefill_tokens: int
    sequence_steps: int
    area_block_steps: int


class Price(NamedTuple):
    """What admitting a request promises it, in whole blocks of the engine.

    Blocks now, at the peak and expected at the end are all it will hold; `held_blocks` of them are
    held by others already and not promised anew. `expected_*` and the two after them are what is
    expected of it, not what it is promised: steps until its end, and what it takes of the engine's
    time: blocks x decode steps, sequences x decode steps.
    """

    segments: tuple[Segment, ...]
    sequences: int
    prompt_tokens: int
    prefill_tokens: int
    output_tokens: int
    blocks_now: int
    blocks_peak: int
    expected_blocks: int
    expected_steps: int
    area_block_steps: int
    sequence_steps: int
    cached_tokens: int = 0
    held_blocks: int = 0

    @property
    def queue_tokens(self) -> int:
        """What the request weighs in the queue's token bound."""
        return self.prompt_tokens + self.output_tokens

    @property
    def work(self) -> Work:
        """What it is expected to take of the engine's time."""
        return Work(self.prefill_tokens, self.sequence_steps, self.area_block_steps)


# One sequence that holds, computes and generates nothing: no request's price is below it in any
# part, so whatever refuses this price for its wait refuses every request.
LEAST = Price(
    segments=(),
    sequences=1,
    prompt_tokens=0,
    prefill_tokens=0,
    output_tokens=0,
    blocks_now=0,
    blocks_peak=0,
    expected_blocks=0,
    expected_steps=0,
    area_block_steps=0,
    sequence_steps=0,
)


def shared_blocks(prompt_tokens: int, *, block_tokens: int) -> int:
    """Full blocks a second sequence with the same prompt takes from the prefix cache.

    vLLM always recomputes the last prompt token, so a prompt that ends on a block's edge shares
    one block less.
    """
    return max(0, prompt_tokens - 1) // block_tokens


def price(
    shape: RequestShape,
    engine: EngineShape,
    outputs: Sequence[int],
    *,
    expected: Sequence[int] | None = None,
    outlooks: Sequence[Outlook] | None = None,
    reserve: bool = False,
) -> Price:
    """Price of a body whose prompts will produce `outputs` tokens each (one entry per prompt).

    Where these are not known, `expected` are their means and `outlooks` what is promised. With
    `reserve` every sequence holds its end from the start: the worst-case policy.
    """
    n, size = shape.sequences, engine.block_tokens
    shares = shape.shares_prompts(engine)
    segments: list[Segment] = []
    prefill = output = now = peak = mean_peak = area = steps = held = 0
    means = expected or outputs
    outlooks = outlooks or [Outlook(tokens) for tokens in outputs]
    for index, (prompt, tokens, life, outlook) in enumerate(
        zip(shape.prompts, outputs, means, outlooks, strict=True)
    ):
        common = shared_blocks(prompt.prompt_tokens, block_tokens=size) if shares else 0
        others = prompt.found.held_tokens // size
        shared_prefix = max(0, common - others)
        own = prompt.prompt_tokens - (others + shared_prefix) * size
        held_tokens, cached_tokens = prompt.found
        leader = Segment(
            own,
            outlook,
            reserved=reserve,
            prompt_index=index,
            cached_tokens=cached_tokens - held_tokens,
            prefix_hashes=prompt.prefix_hashes,
            held_tokens=held_tokens,
        )
        segments += _segments(leader, n, shared_prefix_tokens=shared_prefix * size)
        last = shared_prefix + n * blocks_for(own + tokens, block_tokens=size)
        first = last if reserve else shared_prefix + n * blocks_for(own, block_tokens=size)
        end = last if reserve else shared_prefix + n * blocks_for(own + life, block_tokens=size)
        held, now, peak = held + others, now + others + first, peak + others + last
        mean_peak += others + end
        area += (first + last) * life // 2
        prefill += prompt.prompt_tokens - prompt.found.cached_tokens
        prefill += (n - 1) * (own if shares else prompt.prompt_tokens)
        output, steps = output + n * tokens, steps + n * life
    return Price(
        segments=tuple(segments),
        sequences=shape.total_sequences,
        prompt_tokens=shape.prompt_tokens,
        prefill_tokens=prefill,
        output_tokens=output,
        blocks_now=now,
        blocks_peak=peak,
        expected_blocks=mean_peak,
        expected_steps=max(means),
        area_block_steps=area,
        sequence_steps=steps,
        cached_tokens=sum(prompt.found.cached_tokens for prompt in shape.prompts),
        held_blocks=held,
    )


def _segments(leader: Segment, n: int, *, shared_prefix_tokens: int) -> list[Segment]:
    """The leader computes the prompt, as a shared prefix where the completions share one."""
    if n == 1:
        return [leader]
    branch = leader._replace(prefix_hashes=(), held_tokens=0, cached_tokens=0)
    if not shared_prefix_tokens:
        return [leader, *[branch] * (n - 1)]
    shared_prefix = leader._replace(prompt_tokens=shared_prefix_tokens, sequences=0, copies=n)
    return [shared_prefix, *[branch] * n]


def too_many_sequences(sequences: int, engine: EngineShape) -> Rejected | None:
    """The refusal of a body that asks for more answers at once than the engine runs, or None."""
    if sequences <= engine.max_sequences:
        return None
    return refusals.too_many_sequences(sequences, engine.max_sequences)


def never_fits(priced: Price, engine: EngineShape) -> Rejected | None:
    """The refusal of a body that no amount of waiting makes room for, or None."""
    too_many = too_many_sequences(priced.sequences, engine)
    if too_many:
        return too_many
    if priced.blocks_peak > engine.usable_blocks:
        needed = priced.blocks_peak * engine.block_tokens
        return refusals.larger_than_cache(needed, engine.capacity_tokens)
    return None
