"""Blocks and sequences promised at every future decode step.

The clock counts decode steps: a running sequence gains one token each. So a sequence's line over
absolute steps does not move while it keeps pace, and nothing is rewritten from step to step: a
trace is added when a request is accepted, taken away when it leaves, replaced when it is late.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

BUCKET_STEPS = 16  # resolution; a sequence counts for what it holds at the end of the bucket

_Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Trace:
    """What one strand holds from bucket `first` on: blocks per bucket, and its slots while it lives."""

    first: int
    blocks: _Counts
    sequences: int

    @property
    def end(self) -> int:
        """The first bucket in which nothing is held any more."""
        return self.first + self.blocks.size


class DemandCurve:
    """Sums of traces per bucket of steps, from now to the longest possible request.

    Exact to one bucket and never below the truth. What has passed is forgotten.
    """

    def __init__(self, *, horizon_steps: int, block_tokens: int) -> None:
        self._length = horizon_steps // BUCKET_STEPS + 4
        # twice the horizon, so that the window slides inside and is copied back once per length
        self._blocks: _Counts = np.zeros(2 * self._length, dtype=np.int64)
        self._sequences: _Counts = np.zeros(2 * self._length, dtype=np.int64)
        self._steps: _Counts = np.arange(1, 2 * self._length + 1, dtype=np.int64) * BUCKET_STEPS
        self._block_tokens = block_tokens
        self._origin = 0  # bucket that index 0 stands for
        self._now = 0  # current bucket

    def advance_to(self, step: int) -> None:
        """Move the window; earlier buckets are forgotten."""
        self._now = step // BUCKET_STEPS
        shift = self._now - self._origin
        if shift < self._length:
            return
        for counts in (self._blocks, self._sequences):
            kept = counts[shift:].copy()
            counts[: kept.size] = kept
            counts[kept.size :] = 0
        self._origin = self._now

    def trace(
        self, *, tokens: int, anchor_step: int, grow_tokens: int, end_step: int, sequences: int
    ) -> Trace:
        """Line of a strand that holds `tokens` until `anchor_step`, then one more a step until it
        has grown by `grow_tokens`, and is gone at `end_step` (exclusive)."""
        last = min(-(-end_step // BUCKET_STEPS), self._origin + self._steps.size)
        count = max(0, last - self._now)
        size = self._block_tokens
        if not grow_tokens:
            return Trace(self._now, np.full(count, -(-tokens // size), dtype=np.int64), sequences)
        held = self._steps[:count] + (self._now * BUCKET_STEPS - anchor_step)
        np.minimum(held, grow_tokens, out=held)
        np.maximum(held, 0, out=held)
        held += tokens + size - 1
        held //= size
        return Trace(self._now, held, sequences)

    def add(self, trace: Trace) -> None:
        """Promise the trace."""
        start, end = self._now - self._origin, trace.end - self._origin
        if end > start:
            self._blocks[start:end] += trace.blocks[self._now - trace.first :]
            self._sequences[start:end] += trace.sequences

    def remove(self, trace: Trace) -> None:
        """Take back what is left of an added trace."""
        start, end = self._now - self._origin, trace.end - self._origin
        if end > start:
            self._blocks[start:end] -= trace.blocks[self._now - trace.first :]
            self._sequences[start:end] -= trace.sequences

    def peak_with(self, newcomers: Sequence[Trace]) -> int:
        """Most blocks held at any step of the newcomers' lives if they, just traced, are added."""
        start = self._now - self._origin
        if len(newcomers) == 1:
            (only,) = newcomers
            held = self._blocks[start : start + only.blocks.size] + only.blocks
            return int(held.max(initial=0))
        longest = max(trace.blocks.size for trace in newcomers)
        total = self._blocks[start : start + longest].copy()
        for trace in newcomers:
            total[: trace.blocks.size] += trace.blocks
        return int(total.max(initial=0))

    def peak(self) -> int:
        """Most blocks held at any step from now on."""
        return int(self._blocks[self._now - self._origin :].max())

    def blocks_now(self) -> int:
        """Blocks promised in the current bucket."""
        return int(self._blocks[self._now - self._origin])

    def steps_until_blocks(self, limit: int) -> int:
        """Steps until no later step promises more than `limit` blocks (0 = already)."""
        return self._steps_until(self._blocks, limit)

    def steps_until_sequences(self, limit: int) -> int:
        """Steps until no later step promises more than `limit` sequences (0 = already)."""
        return self._steps_until(self._sequences, limit)

    def _steps_until(self, counts: _Counts, limit: int) -> int:
        above = (counts[self._now - self._origin :] > limit).nonzero()[0]
        return int(above[-1] + 1) * BUCKET_STEPS if above.size else 0
