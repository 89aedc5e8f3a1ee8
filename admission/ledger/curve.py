"""Blocks and sequences promised at every future decode step.

The clock counts decode steps: a running sequence gains one token each. So a sequence's ramp over
absolute steps does not move while it keeps pace, and nothing is rewritten from step to step: a
demand is added when a request is accepted, taken away when it leaves, replaced when it strays or
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

import numpy as np

from admission.ledger.coming import Coming
from admission.ledger.demand import BUCKET_STEPS, MOST, SUMS, Demand, Ramp, Rasteriser
from admission.price.outlook import SHARES, Counts


class DemandCurve:
    """Sums of demands per bucket of steps, from now on for `horizon_steps`.

    Exact to one bucket and never below the truth. What has passed is forgotten, and so is what a
    demand promises beyond the horizon. A demand is drawn when a question cannot be answered without
    it, or before the clock moves: all together that were added since, and those not that were
    taken back.
    """

    def __init__(self, *, horizon_steps: int, max_tokens: int, block_tokens: int) -> None:
        self._sigmas = 0.0  # standard deviations promised beyond what is expected
        self._length = horizon_steps // BUCKET_STEPS + 2
        # twice the horizon, so that the window slides inside and is copied back once per length
        self._sums: Counts = np.zeros((2 * self._length, SUMS), dtype=np.int64)
        self._drawing = Rasteriser(
            buckets=self._length, max_tokens=max_tokens, block_tokens=block_tokens
        )
        self._origin = 0  # bucket at index 0
        self._step = 0
        self._now = 0  # current bucket
        self._end = 0  # bucket from which nothing was ever promised
        self._undrawn: list[Demand] = []  # one that several segments share is here several times
        self._undrawn_now = 0  # blocks of these in the current bucket
        self._undrawn_at_most = 0.0  # blocks by which these raise the peak
        # None: to be worked out anew
        self._drawn_at_most: float | None = 0.0  # blocks of the peak without the undrawn
        self._coming: Coming | None = None  # of what is drawn, when nothing else is

    def keep(self, *, sigmas: float) -> None:
        """From now on, promise `sigmas` standard deviations beyond the expected blocks."""
        self._draw()
        self._sigmas = sigmas
        self._coming = self._drawn_at_most = None

    def advance_to(self, step: int) -> None:
        """Move the window; earlier buckets are forgotten."""
        self._draw()
        self._step = step
        self._coming = self._drawn_at_most = None
        self._now = step // BUCKET_STEPS
        shift = self._now - self._origin
        if shift < self._length:
            return
        kept = self._sums[shift:].copy()
        self._sums[: len(kept)] = kept
        self._sums[len(kept) :] = 0
        self._origin = self._now

    # -- promising -------------------------------------------------------------------------

    def demand(self, ramp: Ramp) -> Demand:
        """The demand of a segment that is at the beginning of its ramp now."""
        return self._drawing.demand(ramp, self._step)

    def add(self, demand: Demand) -> None:
        """Promise the demand, made in this very step; again for each segment that shares it."""
        self._coming = None
        self._end = max(self._end, demand.end)
        self._undrawn.append(demand)
        self._undrawn_now += self._drawing.blocks_now(demand, self._step)
        self._undrawn_at_most += self._raises_by(demand.ramp)

    def remove(self, demand: Demand) -> None:
        """Take back what is left of an added demand."""
        self._coming = None
        if demand in self._undrawn:
            self._undrawn.remove(demand)
            self._undrawn_now -= self._drawing.blocks_now(demand, self._step)
            self._undrawn_at_most -= self._raises_by(demand.ramp)
        elif demand.sums is not None:
            left = self._place_of(demand)
            left -= demand.sums[self._now - demand.first :]

    def _draw(self, newcomers: Sequence[Demand] = ()) -> None:
        """Draw the demands that are still undrawn, and `newcomers`."""
        due = [each for each in dict.fromkeys((*self._undrawn, *newcomers)) if each.sums is None]
        if due:
            self._drawing.draw(due, self._step)
        for demand in self._undrawn:
            if demand.sums is not None:
                added = self._place_of(demand)
                added += demand.sums[self._now - demand.first :]
        if self._drawn_at_most is not None:
            self._drawn_at_most += self._undrawn_at_most
        self._undrawn.clear()
        self._undrawn_now, self._undrawn_at_most = 0, 0.0

    def _place_of(self, demand: Demand) -> Counts:
        """The part of the sums that a demand still covers."""
        start = self._now - self._origin
        return self._sums[start : max(start, demand.end - self._origin)]

    def _raises_by(self, ramp: Ramp) -> float:
        """Blocks by which a segment raises the peak at most.

        With b blocks, likely to run by s, by b (s + sigmas sqrt(k s (1 - s))) at a step at most, as
        the root of a sum is no more than the sum of the roots; that is the largest over all s.
        """
        blocks = self._drawing.blocks_at_most(ramp)
        if ramp.fate is None:
            return blocks
        return blocks * (1.0 + math.sqrt(1.0 + self._sigmas**2 * ramp.entwined)) / 2.0

    # -- asking ----------------------------------------------------------------------------

    def fits(self, newcomers: Sequence[Demand], limit: int) -> bool:
        """Whether `peak_with` is `limit` blocks at most; where there is much room without drawing.

        So an engine that is short of something else pays little for what is promised.
        """
        if self._drawn_at_most is None:
            self._drawn_at_most = self._told(self._drawn()).peak
        at_most = self._drawn_at_most + self._undrawn_at_most
        at_most += sum(self._raises_by(demand.ramp) for demand in newcomers)
        return at_most < limit or self.peak_with(newcomers) <= limit

    def peak_with(self, newcomers: Sequence[Demand]) -> int:
        """Most blocks promised at any step of the newcomers' lives with them, just traced."""
        return self._told(self._with(newcomers, self._buckets_of(newcomers))).peak

    def peak(self) -> int:
        """Most blocks promised at any step from now on."""
        return self.coming().peak

    def coming(self) -> Coming:
        """What is promised from now on."""
        if self._coming is None:
            self._draw()
            self._coming = self._told(self._drawn())
        return self._coming

    def coming_with(self, newcomers: Sequence[Demand]) -> Coming:
        """What would be promised from now on with these, just traced; the curve stays as it is."""
        buckets = max(len(self._drawn()), self._buckets_of(newcomers))
        return self._told(self._with(newcomers, buckets))

    def _buckets_of(self, newcomers: Sequence[Demand]) -> int:
        return max(demand.end for demand in newcomers) - self._now

    def _with(self, newcomers: Sequence[Demand], buckets: int) -> Counts:
        self._draw(newcomers)
        start = self._now - self._origin
        total = self._sums[start : start + buckets].copy()
        for demand in newcomers:
            if demand.sums is not None:
                part = total[: len(demand.sums)]
                part += demand.sums
        return total

    def blocks_now(self) -> int:
        """Blocks of all that run now, at the end of the current bucket."""
        drawn = self._sums.item(self._now - self._origin, MOST) // SHARES
        return drawn + self._undrawn_now

    def _drawn(self) -> Counts:
        return self._sums[self._now - self._origin : max(self._now, self._end) - self._origin]

    def _told(self, sums: Counts) -> Coming:
        return Coming(sums, self._step, self._sigmas)
