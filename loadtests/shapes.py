"""How the load changes over a run. Rates are multiples of a base rate: 1 = what it should carry."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from loadtests.asking.arrivals import RateCurve

GREEDY_TENANTS = 10


@dataclass(frozen=True, slots=True)
class Shape:
    """Stages of (share of the time, load at its beginning, load at its end).

    `drains_at` = share of the time at which the endpoint is told to drain: it admits nothing after
    that, and must be restarted. `greedy` = how many times as much as each other tenant the first
    one asks.
    """

    name: str
    stages: Sequence[tuple[float, float, float]]
    why: str
    drains_at: float | None = None
    greedy: float = 1.0

    def curve(self, per_s: float, seconds: float) -> RateCurve:
        """The arrivals per second of a run of `seconds`, where 1 is `per_s`."""
        shares = [share for share, _, _ in self.stages]
        ends = [seconds * part / sum(shares) for part in accumulate(shares)]
        points = []
        for begin_s, end_s, (_, first, last) in zip([0.0, *ends], ends, self.stages, strict=False):
            points += [(begin_s, per_s * first), (end_s, per_s * last)]
        return RateCurve(tuple(points))


def _level(name: str, load: float, why: str) -> Shape:
    return Shape(name, ((1.0, load, load),), why)


_ALL = (
    _level("steady", 1.0, "what it should carry"),
    _level("soak", 0.9, "hours just below the limit: leaks, drift, what learns slowly"),
    _level("overload-1.5x", 1.5, "a busy day: somebody must be refused, those inside must not pay"),
    _level("overload-2x", 2.0, "twice what fits"),
    _level("overload-4x", 4.0, "a failure elsewhere sends everybody here"),
    Shape(
        "burst",
        ((0.4, 0.2, 0.2), (0.2, 3.0, 3.0), (0.4, 0.2, 0.2)),
        "three times the limit out of quiet, and back: how long until it is as before?",
    ),
    Shape("ramp", ((1.0, 0.0, 2.0),), "slowly up to twice the limit: where does it bend?"),
    Shape(
        "drain",
        ((1.0, 1.0, 1.0),),
        "told to drain in the middle: what runs must end well, what comes must hear 503",
        drains_at=0.5,
    ),
    Shape(
        "greedy",
        ((1.0, 2.0, 2.0),),
        "one tenant of ten asks eleven times its share of twice the limit: do the others feel it?",
        greedy=11.0,
    ),
)
SHAPES = {shape.name: shape for shape in _ALL}


def find_shape(name: str) -> Shape:
    """The shape of that name; ValueError names those there are."""
    if name not in SHAPES:
        raise ValueError(f"no shape {name!r}; there are: {', '.join(SHAPES)}")
    return SHAPES[name]
