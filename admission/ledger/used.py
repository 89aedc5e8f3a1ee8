"""What a lease really took of the engine, by the measures of its price."""

from collections.abc import Sequence
from typing import NamedTuple

from admission.price.footprint import Price, Work, blocks_for


class Used(NamedTuple):
    """What a lease took until it was given back; `tokens` are those of prompts and answers."""

    work: Work
    tokens: int


def used(
    price: Price, *, prefilled_tokens: int, produced: Sequence[int], block_tokens: int
) -> Used:
    """From prompt tokens computed and tokens produced, one entry per sequence of the price.

    A prompt that several share lives as long as the longest of their answers.
    """
    branches = [segment for segment in price.segments if segment.sequences]
    longest: dict[int, int] = {}
    area = 0
    for segment, tokens in zip(branches, produced, strict=True):
        first = blocks_for(segment.prompt_tokens, block_tokens=block_tokens)
        last = blocks_for(segment.prompt_tokens + tokens, block_tokens=block_tokens)
        area += (first + last) * tokens // 2
        longest[segment.prompt_index] = max(tokens, longest.get(segment.prompt_index, 0))
    for segment in price.segments:
        if not segment.sequences:
            blocks = blocks_for(segment.prompt_tokens, block_tokens=block_tokens)
            area += blocks * longest[segment.prompt_index]
    computed = prefilled_tokens / sum(segment.prompt_tokens for segment in price.segments)
    output = sum(produced)
    work = Work(round(computed * price.prefill_tokens), output, area)
    return Used(work, round(computed * price.prompt_tokens) + output)
