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
    branches = [strand for strand in price.strands if strand.sequences]
    longest: dict[int, int] = {}
    area = 0
    for strand, tokens in zip(branches, produced, strict=True):
        first = blocks_for(strand.prompt_tokens, block_tokens=block_tokens)
        last = blocks_for(strand.prompt_tokens + tokens, block_tokens=block_tokens)
        area += (first + last) * tokens // 2
        longest[strand.prompt_index] = max(tokens, longest.get(strand.prompt_index, 0))
    for strand in price.strands:
        if not strand.sequences:
            blocks = blocks_for(strand.prompt_tokens, block_tokens=block_tokens)
            area += blocks * longest[strand.prompt_index]
    computed = prefilled_tokens / sum(strand.prompt_tokens for strand in price.strands)
    output = sum(produced)
    work = Work(round(computed * price.prefill_tokens), output, area)
    return Used(work, round(computed * price.prompt_tokens) + output)
