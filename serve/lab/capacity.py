"""1.0 x of a trace: the highest rate at which the oracle serves 99 % of whom it ever could."""

import math
from collections.abc import Callable
from dataclasses import replace

from serve.lab.catalogue import Variant
from serve.lab.jobs import ORACLE, Cell, Job, best, run_all
from serve.lab.oracle.clairvoyant import PORTFOLIO, Order

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

    99 % of what `most` / 64 serves: some prompts take longer alone than the bound on the first
    token, and no rate is low enough for them. ValueError where nobody is served even then.
    """
    low, high = most / _RANGE, most
    enough = SERVED * served(low)
    if not enough:
        raise ValueError(f"even at {low:.3g} x its rate nobody can be served in time")
    for _ in range(_STEPS):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if served(middle) >= enough else (low, middle)
    return low


def one_x(cell: Cell, *, most: float, processes: int) -> float:
    """The scale of the trace's rate that is 1.0 x for this cell's engine and bounds."""

    def served(scale: float) -> float:
        scaled = replace(cell, cut=replace(cell.cut, rate_scale=scale))
        jobs = [Job(scaled, Variant(ORACLE, number)) for number in _PLANS]
        return best(run_all(jobs, processes=processes)).row.share_of_offered

    return highest(served, most=most)
