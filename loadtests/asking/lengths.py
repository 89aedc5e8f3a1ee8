"""Token counts, log-normal with a mean and a median, like prompts and answers of real traces."""

import math
import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Lengths:
    """Token counts with this mean and median, at most `most_tokens`; mean = median is constant.

    The mean of drawn counts is lower if `most_tokens` cuts off much of the tail.
    """

    mean_tokens: float
    median_tokens: float
    most_tokens: int

    def __post_init__(self) -> None:
        if not 1 <= self.median_tokens <= self.mean_tokens <= self.most_tokens:
            raise ValueError(f"{self}: needs 1 <= median <= mean <= most")

    def draw(self, rng: random.Random) -> int:
        """One length, at least 1. A log-normal's mean is its median times exp(sigma^2 / 2)."""
        sigma = math.sqrt(2 * math.log(self.mean_tokens / self.median_tokens))
        drawn = rng.lognormvariate(math.log(self.median_tokens), sigma)
        return min(self.most_tokens, max(1, round(drawn)))
