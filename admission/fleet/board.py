"""What one engine says of itself to those who choose among several."""

import math
from bisect import bisect_right
from collections.abc import Collection
from dataclasses import dataclass

PROMPT_SIZES = (128, 1024, 4096, 16_384)  # tokens for which a board names its predicted TTFT


@dataclass(frozen=True, slots=True)
class Board:
    """One reading.

    `ttft_s` = predicted seconds to a first token for prompts of `PROMPT_SIZES` uncached tokens,
    as the engine's own controller would decide by now. `prefixes` = names of the chunks of
    `chunk_tokens` tokens that its cache holds.
    """

    at_s: float
    open: bool
    capacity_tokens: int
    max_model_len: int
    ttft_s: tuple[float, ...]
    prefill_token_s: float
    requests: int  # waiting and running
    backlog_tokens: int  # uncached ones of prompts that wait or are being computed
    held_ratio: float  # of the KV cache, by all that hold a lease
    peak_ratio: float  # of what may be promised: the most that leases will hold at any later step
    chunk_tokens: int
    prefixes: Collection[int]

    def takes(self, prompt_tokens: int) -> bool:
        """Whether a prompt of this length can ever run here."""
        return self.open and prompt_tokens < min(self.max_model_len, self.capacity_tokens)

    def predicted_ttft_s(self, uncached_tokens: int) -> float:
        """Between the sizes that are named by a straight line, beyond them by the pace."""
        place = bisect_right(PROMPT_SIZES, uncached_tokens)
        if place == len(PROMPT_SIZES):
            return self.ttft_s[-1] + self.prefill_token_s * (uncached_tokens - PROMPT_SIZES[-1])
        if not place:
            return self.ttft_s[0]
        left, right = PROMPT_SIZES[place - 1], PROMPT_SIZES[place]
        share = (uncached_tokens - left) / (right - left)
        low, high = self.ttft_s[place - 1], self.ttft_s[place]
        return low if math.isinf(low) else low + share * (high - low)
