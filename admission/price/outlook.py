"""The distribution of the remaining length of one completion, given its tokens so far."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from admission.price.survival import Survival

SHARES = 1024  # a whole; shares in whole parts of it add up and cancel without rounding

_STALE = 0.3  # share of equally long completions that ended since: then the outlook is replaced
_HALF_STALE = 1.0 - _STALE / 2  # drawn as half way there, so that errors of many rows cancel
_LEAST_SHARE = 1e-9  # in place of a share of 0, which nothing can be divided by

Counts = npt.NDArray[np.int64]


class Outlook(NamedTuple):
    """The length of an answer: `least_tokens` to `most_tokens`, distributed as its class's.

    Without `survival` it is `most_tokens`, known or taken to be.
    """

    most_tokens: int
    survival: Survival | None = None
    least_tokens: int = 0

    def good_until(self, produced: int) -> int:
        """Tokens at which a completion that has `produced` needs a new outlook."""
        if self.survival is None:
            return self.most_tokens
        above = produced if produced >= self.least_tokens else -1
        stale = self.survival.quantile(_STALE, limit=self.most_tokens, above=above)
        return max(stale, self.least_tokens, produced + 1)


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

    def is_over(self, step: int) -> bool:
        """Whether it has ended by `step` at its greatest length."""
        return step - self.begin_step + self.produced >= self.outlook.most_tokens

    @property
    def certain(self) -> bool:
        """Whether its length is known."""
        return self.produced < self.outlook.least_tokens

    def survive(self, tokens: Counts, out: npt.NDArray[np.float64]) -> None:
        """Write the share, of those that were as long, that is longer; in parts of `SHARES`."""
        survival = self.outlook.survival
        if survival is None:
            raise ValueError("a known length is not a matter of chance")
        alike = 1.0 if self.certain else max(survival.share_longer(self.produced), _LEAST_SHARE)
        survival.shares_longer(tokens, out)
        out *= SHARES / (alike * _HALF_STALE)


def shares(fates: Sequence[Fate], steps: Counts) -> Counts:
    """How likely each runs at these steps: a row each, in parts of `SHARES`, rounded up.

    Never too low for the copies. `steps` ascend from one at which all run; their lengths are not
    known: each has a `survival`.
    """
    numbers = [(f.produced - f.begin_step, f.outlook.most_tokens, f.copies) for f in fates]
    begins, most, copies = np.array(numbers, dtype=np.int64).T[..., None]
    tokens = begins + steps
    likely = np.empty(tokens.shape)
    for place, fate in enumerate(fates):
        fate.survive(tokens[place], likely[place])
    np.ceil(likely, out=likely)
    np.minimum(likely, SHARES, out=likely)
    likely[:, :1] = SHARES  # it runs now, also where it has outlived all others
    if any(fate.certain for fate in fates):
        least = np.array([fate.outlook.least_tokens * fate.certain for fate in fates])
        np.putmask(likely, tokens < least[:, None], SHARES)
    np.putmask(likely, tokens >= most, 0)
    if any(fate.copies > 1 for fate in fates):
        np.minimum(likely * copies, SHARES, out=likely)
    return likely.astype(np.int64)
