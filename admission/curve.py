"""Blocks and sequences promised at every future decode step.

The clock counts decode steps: a running sequence gains one token each. So a sequence's line over
absolute steps does not move while it keeps pace, and nothing is rewritten from step to step: a
trace is added when a request is accepted, taken away when it leaves, replaced when it strays.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

BUCKET_STEPS = 16  # resolution; a sequence counts for what it holds at the end of the bucket

_Counts = npt.NDArray[np.int64]
_BEFORE: _Counts = np.array([-1], dtype=np.int64)


@dataclass(slots=True, eq=False)
class Trace:
    """What one strand holds in each bucket from `first` until `end`, exclusive.

    `end_step` is the step it was asked to end at; `end` is the bucket of that or the horizon's.
    """

    first: int
    end: int
    end_step: int
    blocks: _Counts
    sequences: int


class DemandCurve:
    """Sums of traces per bucket of steps, from now on for `horizon_steps`.

    Exact to one bucket and never below the truth. What has passed is forgotten, and so is what a
    trace promises beyond the horizon.
    """

    def __init__(self, *, horizon_steps: int, max_tokens: int, block_tokens: int) -> None:
        self._length = horizon_steps // BUCKET_STEPS + 2
        # twice the horizon, so that the window slides inside and is copied back once per length
        self._blocks: _Counts = np.zeros(2 * self._length, dtype=np.int64)
        self._sequences: _Counts = np.zeros(2 * self._length, dtype=np.int64)
        tokens = np.arange(max_tokens + 1, dtype=np.int64)
        self._blocks_for: _Counts = (tokens + block_tokens - 1) // block_tokens
        self._origin = 0  # bucket that index 0 stands for
        self._step = 0
        self._now = 0  # current bucket
        self._end = 0  # bucket from which nothing was ever promised

    def advance_to(self, step: int) -> None:
        """Move the window; earlier buckets are forgotten."""
        self._step = step
        self._now = step // BUCKET_STEPS
        shift = self._now - self._origin
        if shift < self._length:
            return
        for counts in (self._blocks, self._sequences):
            kept = counts[shift:].copy()
            counts[: kept.size] = kept
            counts[kept.size :] = 0
        self._origin = self._now

    def trace(self, tokens: int, last_tokens: int, *, end_step: int, sequences: int) -> Trace:
        """Line of a strand: `tokens` now, one more each step until `last_tokens`, then constant.

        At `end_step` it is gone. Nothing holds more than the longest possible sequence.
        """
        last_tokens = min(last_tokens, self._blocks_for.size - 1)
        first = self._now
        end = max(first, min(-(-end_step // BUCKET_STEPS), first + self._length))
        blocks = np.empty(end - first, dtype=np.int64)
        at_first_end = tokens + (first + 1) * BUCKET_STEPS - self._step
        growing = min(blocks.size, max(0, -((at_first_end - last_tokens) // BUCKET_STEPS)))
        grown = at_first_end + growing * BUCKET_STEPS
        blocks[:growing] = self._blocks_for[at_first_end:grown:BUCKET_STEPS]
        blocks[growing:] = self._blocks_for[last_tokens]
        return Trace(first, end, end_step, blocks, sequences)

    def add(self, trace: Trace) -> None:
        """Promise the trace."""
        start, end = self._now - self._origin, trace.end - self._origin
        if end > start:
            self._blocks[start:end] += trace.blocks[self._now - trace.first :]
            self._sequences[start:end] += trace.sequences
            self._end = max(self._end, trace.end)

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
            return _most(self._blocks[start : start + only.blocks.size] + only.blocks)
        longest = max(trace.blocks.size for trace in newcomers)
        total = self._blocks[start : start + longest].copy()
        for trace in newcomers:
            total[: trace.blocks.size] += trace.blocks
        return _most(total)

    def peak(self) -> int:
        """Most blocks held at any step from now on."""
        return _most(self._coming(self._blocks))

    def blocks_now(self) -> int:
        """Blocks promised in the current bucket."""
        return int(self._blocks[self._now - self._origin])

    def steps_until_blocks(self, limit: int, *, for_steps: int) -> int:
        """Steps until at most `limit` blocks are promised for so long (0 = already)."""
        return self._steps_until(self._blocks, limit, for_steps)

    def steps_until_sequences(self, limit: int, *, for_steps: int) -> int:
        """Steps until at most `limit` sequences are promised for so long (0 = already)."""
        return self._steps_until(self._sequences, limit, for_steps)

    def _steps_until(self, counts: _Counts, limit: int, for_steps: int) -> int:
        (above,) = (self._coming(counts) > limit).nonzero()
        if not above.size:
            return 0
        starts = np.concatenate((_BEFORE, above)) + 1  # of the stretches with room, some empty
        (enough,) = (above - starts[:-1] >= -(-for_steps // BUCKET_STEPS)).nonzero()
        bucket = int(starts[enough[0]] if enough.size else starts[-1])
        return max(0, bucket * BUCKET_STEPS - self._step % BUCKET_STEPS)

    def _coming(self, counts: _Counts) -> _Counts:
        return counts[self._now - self._origin : max(self._now, self._end) - self._origin]


def _most(counts: _Counts) -> int:
    return int(np.maximum.reduce(counts)) if counts.size else 0
