"""The load of a calibration: each term of the linear form varies by itself once."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass

from admission.price.footprint import EngineShape

Run = Callable[[Sequence[int], int], Awaitable[None]]  # prompt, output tokens
Now = Callable[[], float]

_WIDEST = 64  # sequences; larger engines are linear by then
_OUTPUT_TOKENS = 40  # steps at each width
_LONG_TOKENS = 2048  # context of the long sequences, where the model takes them
_ORDINARY = (0.02, 0.9)  # share of the vocabulary that holds no special token


@dataclass(frozen=True, slots=True)
class Batch:
    """Sequences that begin together: their number, prompt tokens and output tokens."""

    sequences: int
    prompt_tokens: int
    output_tokens: int


def batches(engine: EngineShape) -> Iterator[Batch]:
    """Prompts alone, decoding at several widths with short and long contexts, and both at once.

    Sizes are reduced to fit the engine; about 600 steps in all.
    """
    chunk = engine.max_batched_tokens
    longest = engine.max_model_len - _OUTPUT_TOKENS - 1
    for share in (1 / 4, 1 / 2, 1.0, 2.0):
        for _ in range(3):
            yield Batch(1, max(1, min(longest, int(chunk * share))), 1)
    for width in _widths(engine, 16 + _OUTPUT_TOKENS):
        yield Batch(width, 16, _OUTPUT_TOKENS)
    long = min(longest, _LONG_TOKENS)
    for width in _widths(engine, long + _OUTPUT_TOKENS)[::2]:
        yield Batch(width, long, _OUTPUT_TOKENS)


def _widths(engine: EngineShape, tokens: int) -> list[int]:
    """1, 2, 4 ... as far as slots and half of the cache go."""
    most = min(_WIDEST, engine.max_sequences, max(1, engine.capacity_tokens // 2 // tokens))
    return [1 << power for power in range(most.bit_length()) if 1 << power <= most]


async def play(
    run: Run,
    engine: EngineShape,
    *,
    vocabulary: int,
    seconds: float,
    now: Now,
    say: Callable[[str], None],
) -> int:
    """Run the batches one after another; none is begun after `seconds`. Returns how many ran.

    Every prompt is different, so that nothing is found in the prefix cache.
    """
    rng = random.Random(7)  # noqa: S311 - a workload, no secret
    low, high = (round(share * vocabulary) for share in _ORDINARY)
    end_s, done = now() + seconds, 0
    for batch in batches(engine):
        if now() > end_s:
            break
        say(
            f"{batch.sequences} x {batch.prompt_tokens} prompt tokens,"
            f" {batch.output_tokens} after each"
        )
        prompts = [
            [rng.randrange(low, high) for _ in range(batch.prompt_tokens)]
            for _ in range(batch.sequences)
        ]
        await asyncio.gather(*(run(prompt, batch.output_tokens) for prompt in prompts))
        done += 1
    return done
