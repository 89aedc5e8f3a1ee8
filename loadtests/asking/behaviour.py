"""User behaviour: retries, patience, hanging up. Pure."""

import math
import random
from dataclasses import dataclass

# Backoff of clients that ignore Retry-After: OpenAI's SDKs double from half a second up to 8 s and
# subtract up to a quarter at random.
_BACKOFF_S = 0.5
_BACKOFF_MOST_S = 8.0
_BACKOFF_JITTER = 0.25
_SDK_MOST_S = 120.0  # openai-python obeys up to this and does not retry above it


@dataclass(frozen=True, slots=True)
class Behaviour:
    """Shares (0-1) of users, and their limits. The defaults suit a measurement, not real users."""

    retries: int = 0  # attempts after the first; 0, so that the first refusal counts
    obeys_retry_after: float = 1.0  # share that obeys Retry-After; others back off by themselves
    patience_s: float = math.inf  # from the intended start to the first token, waits included
    hangs_up: float = 0.0  # share that leaves in the middle of its answer

    def __post_init__(self) -> None:
        if not (0 <= self.obeys_retry_after <= 1 and 0 <= self.hangs_up <= 1):
            raise ValueError(f"{self}: shares are from 0 to 1")
        if self.retries < 0 or self.patience_s <= 0:
            raise ValueError(f"{self}: retries and patience are not negative")

    def draw(self, rng: random.Random, output_tokens: int) -> "Temper":
        """A random user, for an answer of `output_tokens`."""
        obeys = rng.random() < self.obeys_retry_after
        leaves = rng.random() < self.hangs_up
        middle = rng.randint(1, max(1, output_tokens - 1))
        return Temper(self.retries, obeys, self.patience_s, middle if leaves else None)


@dataclass(frozen=True, slots=True)
class Temper:
    """One user's behaviour. `hangs_up_after` = tokens read before the user leaves; None = all."""

    retries: int
    obeys: bool
    patience_s: float
    hangs_up_after: int | None

    def wait_s(self, told_s: float | None, retry: int, rng: random.Random) -> float | None:
        """Seconds until attempt `retry` (from 0) after a refusal with Retry-After `told_s`.

        None = the user does not retry.
        """
        if retry >= self.retries:
            return None
        if self.obeys and told_s is not None:
            return told_s if told_s <= _SDK_MOST_S else None
        longest_s = min(_BACKOFF_MOST_S, _BACKOFF_S * (1 << retry))
        return longest_s * (1 - _BACKOFF_JITTER * rng.random())


JUDGE = Behaviour()
PEOPLE = Behaviour(retries=2, obeys_retry_after=0.8, patience_s=30.0, hangs_up=0.05)
