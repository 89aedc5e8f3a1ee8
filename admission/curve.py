"""Blocks and sequences promised at every future decode step.

The clock counts decode steps: a running sequence gains one token each. So a sequence's line over
absolute steps does not move while it keeps pace, and nothing is rewritten from step to step: a
trace is added when a request is accepted, taken away when it leaves, replaced when it strays or
when it has outlived too many of those it was expected to end with.

A sequence that will hold b blocks if it still runs, with probability s, adds b s to the expected
blocks and b^2 s (1 - s) to their variance. What is promised at a step is

    min(all that may run, expected + sigmas x sqrt(variance))

which is the plain sum where lengths are known. If requests are independent, more is held with
probability 1 / (1 + sigmas^2) at most (Cantelli), however few they are; of many, with about that of
a normal distribution's tail.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from admission.outlook import SHARES, Counts, Fate

BUCKET_STEPS = 16  # resolution; a sequence counts for what it holds at the end of the bucket

_BEFORE: Counts = np.array([-1], dtype=np.int64)

# the rows of sums; blocks and sequences are in parts of SHARES, the variance in those of its square
_EXPECTED, _VARIANCE, _MOST, _SEQUENCES = range(4)
_ROWS = 4


@dataclass(slots=True, eq=False)
class Trace:
    """What one strand adds to the sums in each bucket from `first` until `end`, exclusive.

    `end_step` is the step it was asked to end at; `end` is the bucket of that or the horizon's.
    """

    first: int
    end: int
    end_step: int
    sums: Counts
    sequences: int


class DemandCurve:
    """Sums of traces per bucket of steps, from now on for `horizon_steps`.

    Exact to one bucket and never below the truth. What has passed is forgotten, and so is what a
    trace promises beyond the horizon.
    """

    def __init__(self, *, horizon_steps: int, max_tokens: int, block_tokens: int) -> None:
        self._sigmas = 0.0  # standard deviations promised beyond what is expected
        self._surprise: int | None = 0  # None: to be worked out anew
        self._length = horizon_steps // BUCKET_STEPS + 2
        # twice the horizon, so that the window slides inside and is copied back once per length
        self._sums: Counts = np.zeros((_ROWS, 2 * self._length), dtype=np.int64)
        tokens = np.arange(max_tokens + 1, dtype=np.int64)
        self._blocks_for: Counts = (tokens + block_tokens - 1) // block_tokens
        self._starts: Counts = np.arange(self._length, dtype=np.int64) * BUCKET_STEPS
        self._origin = 0  # bucket that index 0 stands for
        self._step = 0
        self._now = 0  # current bucket
        self._end = 0  # bucket from which nothing was ever promised

    def keep(self, *, sigmas: float) -> None:
        """Promise so many standard deviations beyond what is expected, from now on."""
        self._sigmas = sigmas
        self._surprise = None

    def advance_to(self, step: int) -> None:
        """Move the window; earlier buckets are forgotten."""
        self._step = step
        self._surprise = None
        self._now = step // BUCKET_STEPS
        shift = self._now - self._origin
        if shift < self._length:
            return
        kept = self._sums[:, shift:].copy()
        self._sums[:, : kept.shape[1]] = kept
        self._sums[:, kept.shape[1] :] = 0
        self._origin = self._now

    def trace(
        self,
        tokens: int,
        last_tokens: int,
        *,
        end_step: int,
        sequences: int,
        fate: Fate | None = None,
        entwined: int = 1,
    ) -> Trace:
        """Line of a strand: `tokens` now, one more each step until `last_tokens`, then constant.

        At `end_step` it is gone, or sooner by its `fate`. Nothing holds more than the longest
        possible sequence. Strands of which so many are `entwined` may all end together: the
        variance of a sum of k is at most k times the sum of their variances.
        """
        blocks = self._line(tokens, last_tokens, end_step)
        sums = np.empty((_ROWS, blocks.size), dtype=np.int64)
        most = np.multiply(blocks, SHARES, out=sums[_MOST])
        if fate is None:
            sums[_EXPECTED] = most
            sums[_VARIANCE] = 0
            sums[_SEQUENCES] = sequences * SHARES
        else:
            shares = fate.shares(self._starts[: blocks.size] + self._now * BUCKET_STEPS)
            np.multiply(blocks, shares, out=sums[_EXPECTED])
            np.multiply(sums[_EXPECTED] * blocks, (SHARES - shares) * entwined, out=sums[_VARIANCE])
            most *= shares > 0
            np.multiply(shares, sequences, out=sums[_SEQUENCES])
        return Trace(self._now, self._now + blocks.size, end_step, sums, sequences)

    def _line(self, tokens: int, last_tokens: int, end_step: int) -> Counts:
        last_tokens = min(last_tokens, self._blocks_for.size - 1)
        first = self._now
        end = max(first, min(-(-end_step // BUCKET_STEPS), first + self._length))
        blocks = np.empty(end - first, dtype=np.int64)
        at_first_end = tokens + (first + 1) * BUCKET_STEPS - self._step
        growing = min(blocks.size, max(0, -((at_first_end - last_tokens) // BUCKET_STEPS)))
        grown = at_first_end + growing * BUCKET_STEPS
        blocks[:growing] = self._blocks_for[at_first_end:grown:BUCKET_STEPS]
        blocks[growing:] = self._blocks_for[last_tokens]
        return blocks

    def add(self, trace: Trace) -> None:
        """Promise the trace."""
        self._surprise = None
        start, end = self._now - self._origin, trace.end - self._origin
        if end > start:
            self._sums[:, start:end] += trace.sums[:, self._now - trace.first :]
            self._end = max(self._end, trace.end)

    def remove(self, trace: Trace) -> None:
        """Take back what is left of an added trace."""
        self._surprise = None
        start, end = self._now - self._origin, trace.end - self._origin
        if end > start:
            self._sums[:, start:end] -= trace.sums[:, self._now - trace.first :]

    def peak_with(self, newcomers: Sequence[Trace]) -> int:
        """Most blocks promised at any step of the newcomers' lives with them, just traced."""
        start = self._now - self._origin
        if len(newcomers) == 1:
            (only,) = newcomers
            return self._most(self._sums[:, start : start + only.sums.shape[1]] + only.sums)
        longest = max(trace.sums.shape[1] for trace in newcomers)
        total = self._sums[:, start : start + longest].copy()
        for trace in newcomers:
            total[:, : trace.sums.shape[1]] += trace.sums
        return self._most(total)

    def peak(self) -> int:
        """Most blocks promised at any step from now on."""
        return self._most(self._coming())

    def surprise(self) -> int:
        """Blocks by which the promised peak is above the expected one."""
        if self._surprise is None:
            self._surprise = self.peak() - _whole(self._coming()[_EXPECTED])
        return self._surprise

    def blocks_now(self) -> int:
        """Blocks of all that run now, at the end of the current bucket."""
        return int(self._sums[_MOST, self._now - self._origin]) // SHARES

    def steps_until_blocks(self, limit: int, *, for_steps: int) -> int:
        """Steps until at most `limit` blocks are expected for so long (0 = already)."""
        return self._steps_until(_EXPECTED, limit, for_steps)

    def steps_until_sequences(self, limit: int, *, for_steps: int) -> int:
        """Steps until at most `limit` sequences are expected for so long (0 = already)."""
        return self._steps_until(_SEQUENCES, limit, for_steps)

    def _steps_until(self, row: int, limit: int, for_steps: int) -> int:
        (above,) = (self._coming()[row] > limit * SHARES).nonzero()
        if not above.size:
            return 0
        starts = np.concatenate((_BEFORE, above)) + 1  # of the stretches with room, some empty
        (enough,) = (above - starts[:-1] >= -(-for_steps // BUCKET_STEPS)).nonzero()
        bucket = int(starts[enough[0]] if enough.size else starts[-1])
        return max(0, bucket * BUCKET_STEPS - self._step % BUCKET_STEPS)

    def _coming(self) -> Counts:
        return self._sums[:, self._now - self._origin : max(self._now, self._end) - self._origin]

    def _most(self, sums: Counts) -> int:
        likely = sums[_EXPECTED] + self._sigmas * np.sqrt(sums[_VARIANCE])
        return _whole(np.minimum(likely, sums[_MOST]))


def _whole(blocks: np.ndarray[tuple[int], np.dtype[np.float64 | np.int64]]) -> int:
    """The largest, from parts of `SHARES` to blocks, rounded up."""
    return math.ceil(np.maximum.reduce(blocks) / SHARES) if blocks.size else 0
