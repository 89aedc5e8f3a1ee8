"""1.0 x of a trace: the highest rate at which the oracle serves 99 % of those it ever could."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache

from loadtests.lab.catalogue import Variant
from loadtests.lab.jobs import ORACLE, Cell, Job, RunAll, best
from loadtests.lab.oracle.clairvoyant import PORTFOLIO, TOO_LONG, Order

SERVED = 0.99
_STEPS = 6  # of the bisection: the rate within 3.3 % of the range's 64-fold
_RANGE = 64.0
_PLANS = tuple(
    number
    for number, plan in enumerate(PORTFOLIO)
    if plan.skips and plan.cheapest == 1 and (plan.order is Order.ARRIVAL or plan.margin > 0.9)  # noqa: PLR2004
)


def highest(served: Callable[[float], float], *, most: float) -> float:
    """The highest scale up to `most` that serves 99 %, by bisection of its logarithm.

    A trace whose requests come in one instant, as where its clock ticks in seconds, has them come
    so at any rate. Where no scale serves 99 %, it is therefore 99 % of what the lowest one serves.
    ValueError where that is nothing.
    """
    told = cache(served)
    found = _bisected(told, SERVED, most)
    if found is not None:
        return found
    least = told(most / _RANGE)
    if not least:
        raise ValueError(f"1.0 x was not found: nobody is served at {most / _RANGE:.3g} x its rate")
    return _bisected(told, SERVED * least, most) or most / _RANGE


def _bisected(served: Callable[[float], float], needed: float, most: float) -> float | None:
    """The highest scale tried that serves so much."""
    low, high = most / _RANGE, most
    found = None
    for _ in range(_STEPS):
        middle = math.sqrt(low * high)
        if served(middle) >= needed:
            found = low = middle
        else:
            high = middle
    return found


def one_x(cell: Cell, run_all: RunAll, *, most: float) -> float:
    """The scale of the trace's rate that is 1.0 x for this cell's requests, engine and bounds.

    A prompt that takes longer alone than the bound on the first token counts as never offered:
    no rate is low enough for it.
    """

    def served(scale: float) -> float:
        scaled = replace(cell, cut=replace(cell.cut, rate_scale=scale))
        jobs = [Job(scaled, Variant(ORACLE, number)) for number in _PLANS]
        row = best(run_all(jobs)).row
        possible = row.offered - row.reasons.get(TOO_LONG, 0)
        return row.share_of_offered * row.offered / max(1, possible)

    return highest(served, most=most)
