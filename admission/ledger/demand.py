"""From what is expected of a segment to what it adds to every coming bucket of steps.

A numpy call costs the same for one segment as for twenty, so demands are drawn together, when
their sum is first asked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from admission.price.footprint import blocks_for
from admission.price.outlook import SHARES, Counts, Fate, shares

BUCKET_STEPS = 16  # resolution; a sequence counts for what it holds at the end of the bucket

# the columns of sums; blocks and sequences in parts of SHARES, the variance in those of its square
EXPECTED, VARIANCE, MOST, SEQUENCES = range(4)
SUMS = 4


class Ramp(NamedTuple):
    """A segment: `tokens` now, one more each step until `last_tokens`, then constant.

    At `end_step` it is gone, or sooner by its `fate`. `entwined` segments may all end together: the
    variance of a sum of k is at most k times the sum of their variances.
    Nothing is added before `from_step`.
    """

    tokens: int
    last_tokens: int
    end_step: int
    sequences: int
    fate: Fate | None = None
    entwined: int = 1
    from_step: int = 0


@dataclass(slots=True, eq=False)
class Demand:
    """What one ramp adds to the sums in each bucket from `first` until `end`, exclusive.

    A row of `sums` for each bucket, so that those of coming ones lie side by side in memory; None
    until it is drawn.
    """

    ramp: Ramp
    first: int
    end: int
    sums: Counts | None = None

    @property
    def end_step(self) -> int:
        """The step it was asked to end at; `end` is the bucket of that or the horizon's."""
        return self.ramp.end_step


class Rasteriser:
    """Draws ramps up to a horizon. Nothing holds more than the longest possible sequence."""

    def __init__(self, *, buckets: int, max_tokens: int, block_tokens: int) -> None:
        self._buckets = buckets
        self._max_tokens = max_tokens
        self._block_tokens = block_tokens
        tokens = np.arange(max_tokens + 1, dtype=np.int64)
        self._blocks_for: Counts = (tokens + block_tokens - 1) // block_tokens
        self._starts: Counts = np.arange(buckets, dtype=np.int64) * BUCKET_STEPS

    def demand(self, ramp: Ramp, step: int) -> Demand:
        """Not drawn yet; the ramp is at its `tokens` at this step."""
        first = step // BUCKET_STEPS
        end = min(-(-ramp.end_step // BUCKET_STEPS), first + self._buckets)
        return Demand(ramp, first, max(first, end))

    def draw(self, demands: Sequence[Demand], step: int) -> None:
        """Draw what was traced at this very step."""
        first = step // BUCKET_STEPS
        starts = self._starts[: max(demand.end for demand in demands) - first]
        sums = self._sums([demand.ramp for demand in demands], starts, step)
        for demand, each in zip(demands, sums, strict=True):
            demand.sums = each[: demand.end - first].copy()
            if demand.ramp.from_step:
                demand.sums[: max(0, demand.ramp.from_step // BUCKET_STEPS - first)] = 0

    def blocks_at_most(self, ramp: Ramp) -> int:
        """Blocks that it may hold in the end."""
        last_tokens = min(ramp.last_tokens, self._max_tokens)
        return blocks_for(last_tokens, block_tokens=self._block_tokens)

    def blocks_now(self, demand: Demand, step: int) -> int:
        """Blocks at the end of the bucket it was traced in, at this step."""
        ramp, start = demand.ramp, demand.first * BUCKET_STEPS
        over = ramp.fate is not None and ramp.fate.is_over(start)
        if over or demand.end == demand.first or start < ramp.from_step:
            return 0
        tokens = min(ramp.tokens + start + BUCKET_STEPS - step, ramp.last_tokens, self._max_tokens)
        return blocks_for(tokens, block_tokens=self._block_tokens)

    def _sums(self, ramps: Sequence[Ramp], starts: Counts, step: int) -> Counts:
        """By ramp, bucket and column."""
        now = step - step % BUCKET_STEPS
        numbers = [
            (tokens + now + BUCKET_STEPS - step, min(last, self._max_tokens), sequences, entwined)
            for tokens, last, _, sequences, _, entwined, _ in ramps
        ]
        tokens, last, sequences, entwined = np.array(numbers, dtype=np.int64).T[..., None]
        blocks = self._blocks_for[np.minimum(tokens + starts, last)]
        alive = self._alive(ramps, starts + now)
        sums = np.empty((*blocks.shape, SUMS), dtype=np.int64)
        expected = np.multiply(blocks, alive, out=sums[..., EXPECTED])
        np.multiply(expected * blocks, (SHARES - alive) * entwined, out=sums[..., VARIANCE])
        np.multiply(blocks, (alive > 0) * SHARES, out=sums[..., MOST])
        np.multiply(alive, sequences, out=sums[..., SEQUENCES])
        return sums

    def _alive(self, ramps: Sequence[Ramp], steps: Counts) -> Counts:
        """How likely each is there still, in parts of `SHARES`; whole where no fate says."""
        fates = [ramp.fate for ramp in ramps if ramp.fate]
        if len(fates) == len(ramps):
            return shares(fates, steps)
        alive = np.full((len(ramps), steps.size), SHARES, dtype=np.int64)
        if fates:
            alive[[place for place, ramp in enumerate(ramps) if ramp.fate]] = shares(fates, steps)
        return alive
