"""Steps that took far longer than predicted: counted and reported, not learned from.

One step of 5 s among steps of 0.1 s is a fault, not the engine's speed: learned, it would refuse
requests that are in no danger. Several in a row say that the engine has become slower.
"""

from dataclasses import dataclass
from statistics import median

_TIMES = 10.0  # what is expected: a model that is only wrong errs by less
_LEAST_S = 1.0  # of the step: below, no deadline is in danger, and clocks and busy hosts are uneven
_IN_A_ROW = 4  # up to this many count as faults; more mean a slower engine


@dataclass(frozen=True, slots=True)
class StepOutlier:
    """`at_s` is when its record came."""

    at_s: float
    measured_s: float
    expected_s: float


class StepOutliers:
    """Compares every step with its predicted time.

    `slower_ratio` is how much slower the engine has become, just after the step that proved it.
    """

    def __init__(self) -> None:
        self.count = 0
        self.last: StepOutlier | None = None
        self.slower_ratio: float | None = None
        self._in_a_row: list[float] = []  # measured / expected

    def note(self, measured_s: float, expected_s: float | None, now_s: float) -> bool:
        """Whether the step is an outlier and must not be learned from.

        `measured_s` 0 = not timed, `expected_s` None = not known: neither says anything.
        """
        self.slower_ratio = None
        if measured_s <= 0 or not expected_s:
            return False
        if measured_s < max(_LEAST_S, _TIMES * expected_s):
            self._in_a_row.clear()
            return False
        if len(self._in_a_row) > _IN_A_ROW:
            return False
        self._in_a_row.append(measured_s / expected_s)
        if len(self._in_a_row) > _IN_A_ROW:
            self.slower_ratio = median(self._in_a_row)
            return False
        self.count += 1
        self.last = StepOutlier(now_s, measured_s, expected_s)
        return True
