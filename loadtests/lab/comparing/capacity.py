"""1.0 x of a trace: the highest rate at which the oracle serves 99 % of the servable requests."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache

from loadtests.lab.catalogue import Variant
from loadtests.lab.jobs import ORACLE, Cell, Job, RunAll, best
from loadtests.lab.oracle.clairvoyant import PORTFOLIO, TOO_LONG, Order
from loadtests.lab.summary import PolicyRow

SERVED = 0.99
_STEPS = 6  # of bisection
_RANGE = 64.0
_PLANS = tuple(
    number
    for number, plan in enumerate(PORTFOLIO)
    if plan.skips and plan.cheapest == 1 and (plan.order is Order.ARRIVAL or plan.margin > 0.9)  # noqa: PLR2004
)


def highest(served: Callable[[float], float], *, most: float) -> float:
    """The highest scale up to `most` that serves 99 %, by bisection of its logarithm.

    If a trace's clock ticks in seconds, requests of the same instant stay together at any rate. So
    if no scale serves 99 %, the goal is 99 % of what the lowest scale serves. ValueError if that
    is nothing.
    """
    share = cache(served)
    found = _bisected(share, SERVED, most)
    if found is not None:
        return found
    least = share(most / _RANGE)
    if not least:
        raise ValueError(
            f"1.0 x was not found: nothing is served at {most / _RANGE:.3g} x its rate"
        )
    return _bisected(share, SERVED * least, most) or most / _RANGE


def _bisected(served: Callable[[float], float], needed: float, most: float) -> float | None:
    """The highest tried scale that serves the share `needed`; None = none does."""
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

    A prompt whose computation alone exceeds the TTFT bound counts as never offered: no rate is low
    enough for it.
    """

    def served(scale: float) -> float:
        scaled = replace(cell, cut=replace(cell.cut, rate_scale=scale))
        jobs = [Job(scaled, Variant(ORACLE, number)) for number in _PLANS]
        return share_of_possible(best(run_all(jobs)).row)

    return highest(served, most=most)


def share_of_possible(row: PolicyRow) -> float:
    """Share served of those whose prompt alone does not take longer than the TTFT bound."""
    possible = row.offered - row.reasons.get(TOO_LONG, 0)
    return row.share_of_offered * row.offered / max(1, possible)
