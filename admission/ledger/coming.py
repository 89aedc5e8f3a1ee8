"""What is promised from now on, and what can be asked of it."""

import math
from functools import cached_property

import numpy as np

from admission.ledger.demand import BUCKET_STEPS, EXPECTED, MOST, SEQUENCES, VARIANCE
from admission.price.outlook import SHARES, Counts

_BEFORE: Counts = np.array([-1], dtype=np.int64)


class Coming:
    """Sums of demands for each bucket from that of `step` on; holds until the curve changes."""

    def __init__(self, sums: Counts, step: int, sigmas: float) -> None:
        self._sums = sums
        self._step = step
        self._sigmas = sigmas

    @cached_property
    def peak(self) -> int:
        """Most blocks promised at any step."""
        likely = np.sqrt(self._sums[:, VARIANCE])
        likely *= self._sigmas
        likely += self._sums[:, EXPECTED]
        return _whole(np.minimum(likely, self._sums[:, MOST], out=likely))

    @cached_property
    def surprise(self) -> int:
        """Blocks by which the promised peak is above the expected one."""
        return self.peak - _whole(self._sums[:, EXPECTED])

    def steps_until_blocks(self, limit: int, *, for_steps: int) -> int:
        """Steps until at most `limit` blocks are expected for so long (0 = already)."""
        return self._steps_until(EXPECTED, limit, for_steps)

    def steps_until_sequences(self, limit: int, *, for_steps: int) -> int:
        """Steps until at most `limit` sequences are expected for so long (0 = already)."""
        return self._steps_until(SEQUENCES, limit, for_steps)

    def _steps_until(self, column: int, limit: int, for_steps: int) -> int:
        (above,) = (self._sums[:, column] > limit * SHARES).nonzero()
        if not above.size:
            return 0
        starts = np.concatenate((_BEFORE, above)) + 1  # of the chunks with room, some empty
        (enough,) = (above - starts[:-1] >= -(-for_steps // BUCKET_STEPS)).nonzero()
        bucket = int(starts[enough[0]] if enough.size else starts[-1])
        return max(0, bucket * BUCKET_STEPS - self._step % BUCKET_STEPS)


def _whole(blocks: np.ndarray[tuple[int], np.dtype[np.float64 | np.int64]]) -> int:
    """The largest, from parts of `SHARES` to blocks, rounded up."""
    return math.ceil(np.maximum.reduce(blocks) / SHARES) if blocks.size else 0
