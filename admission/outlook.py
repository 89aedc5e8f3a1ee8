"""What is expected of one answer, from the tokens it has produced on: how likely it still runs."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from admission.survival import Survival

SHARES = 1024  # a whole; shares in whole parts of it add up and cancel without rounding

_STALE = 0.3  # of those that were as long, have ended meanwhile: what was expected holds no more
_HALF_STALE = 1.0 - _STALE / 2  # drawn as half way there, so that errors of many rows cancel
_NOBODY = 1e-9  # stands for a share of nobody, by which nothing can be divided

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Outlook:
    """The length of an answer: `least_tokens` to `most_tokens`, distributed as its class's.

    Without `survival` it is `most_tokens`, known or taken to be.
    """

    most_tokens: int
    survival: Survival | None = None
    least_tokens: int = 0

    def good_until(self, produced: int) -> int:
        """Tokens at which an answer that has `produced` needs another outlook."""
        if self.survival is None:
            return self.most_tokens
        above = produced if produced >= self.least_tokens else -1
        stale = self.survival.quantile(_STALE, limit=self.most_tokens, above=above)
        return max(stale, self.least_tokens, produced + 1)

    def shares_longer(self, tokens: Counts, produced: int) -> Counts:
        """The share, of those that have `produced`, that is longer than so many tokens.

        In parts of `SHARES`, rounded up; `tokens` ascend, from `produced` at most.
        """
        if self.survival is None:
            return (tokens < self.most_tokens) * SHARES
        certain = produced < self.least_tokens
        alike = 1.0 if certain else max(self.survival.share_longer(produced), _NOBODY)
        shares = np.ceil(self.survival.shares_longer(tokens) * (SHARES / (alike * _HALF_STALE)))
        np.minimum(shares, SHARES, out=shares)
        shares[:1] = SHARES  # it runs now, also where it has outlived all others
        if certain:
            shares[: tokens.searchsorted(self.least_tokens)] = SHARES
        shares[tokens.searchsorted(self.most_tokens) :] = 0
        return shares.astype(np.int64)


class Fate(NamedTuple):
    """An answer that has `produced` tokens and gains one a step from `begin_step` on.

    Or what `copies` of it hold together until the last of them ends.
    """

    outlook: Outlook
    begin_step: int
    produced: int = 0
    copies: int = 1

    @property
    def end_step(self) -> int:
        """The last step at which it may run, and one more."""
        return self.begin_step + max(0, self.outlook.most_tokens - self.produced)

    def shares(self, steps: Counts) -> Counts:
        """How likely it runs at these steps, in parts of `SHARES`; never too low for the copies."""
        tokens = steps + (self.produced - self.begin_step)
        shares = self.outlook.shares_longer(tokens, self.produced)
        return shares if self.copies == 1 else np.minimum(shares * self.copies, SHARES)
