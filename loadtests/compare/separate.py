"""Whether two arms differ: differences with 95 % intervals from a block bootstrap.

Concurrent requests are correlated, so the bootstrap redraws blocks of neighbours instead of single
requests (circular block bootstrap, Politis and Romano 1992). A block spans several generations of
concurrent requests. If both arms had the same requests one by one, it draws the same blocks in
both. Few blocks make intervals too narrow, so these are widened like Student's t.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from loadtests.compare.arm import Arm
from loadtests.compare.load import Load
from loadtests.judging.verdict import is_good
from loadtests.record import Outcome, Record

DRAWS = 1000
_TAILS = (0.025, 0.975)
_BLOCKS_LEAST = 10  # fewer are too few to resample
_GENERATIONS = 4  # in a block: what slows running requests also slows those that follow
_Z = 1.96  # standard normal deviate of the tails
_BINS = 30  # bins of time, for rates
_SEED = 1

Statistic = Callable[[np.ndarray], float]


@dataclass(frozen=True, slots=True)
class Difference:
    """`second - first`, in the metric's unit; None if an arm has nothing to measure."""

    metric: str
    unit: str  # ratio, s, per_s or users
    first: float | None
    second: float | None
    low: float | None
    high: float | None
    more_is_better: bool

    @property
    def better(self) -> int:
        """1 = the second, -1 = the first, 0 = not distinguishable."""
        if self.low is None or self.high is None or self.low <= 0 <= self.high:
            return 0
        return 1 if (self.low > 0) == self.more_is_better else -1


@dataclass(frozen=True, slots=True)
class ComparedMetric:
    """One value per request, NaN = none, and the statistic of a set of values."""

    name: str
    unit: str
    more_is_better: bool
    of: Callable[[Record, Arm], float]
    statistic: Statistic


@dataclass(frozen=True, slots=True)
class Separation:
    """All differences, and how they were resampled. `block` 0 = nothing was resampled."""

    differences: Sequence[Difference]
    paired: bool
    block: int


def _quantile(values: np.ndarray, share: float) -> float:
    """The quantile by nearest rank, as in `judging.percentiles`."""
    return float(np.quantile(values, share, method="inverted_cdf"))


def _good(record: Record, arm: Arm) -> float:
    return float(is_good(record, arm.slo))


def _answered(record: Record, _: Arm) -> float:
    if record.outcome is Outcome.CANCELLED:
        return math.nan
    return float(record.outcome is Outcome.ANSWERED)


def _measure(name: str, record: Record, _: Arm) -> float:
    value = getattr(record, name)
    return math.nan if value is None else float(value)


_METRICS = (
    ComparedMetric("goodput", "ratio", True, _good, lambda values: float(values.mean())),
    ComparedMetric("success", "ratio", True, _answered, lambda values: float(values.mean())),
    *(
        ComparedMetric(
            f"{name} p{share * 100:g}",
            "s",
            False,
            partial(_measure, f"{name}_s"),
            partial(_quantile, share=share),
        )
        for name in ("ttft", "tpot")
        for share in (0.5, 0.95)
    ),
)
_RATES: Mapping[str, Callable[[Record], float]] = {
    "answers/s": lambda record: float(record.outcome is Outcome.ANSWERED),
    "tokens/s": lambda record: float(record.output_tokens),
}


def separate(first: Arm, second: Arm, load: Load) -> Separation:
    """The differences of two runs by their records, or of two searches by their limits."""
    if first.is_search or second.is_search:
        return Separation([_limits(first, second)], paired=False, block=0)
    if not first.records or not second.records:
        return Separation([], paired=False, block=0)
    rng = np.random.default_rng(_SEED)
    chosen = [
        [arm.records[n] for n in load.common] if load.paired else list(arm.records.values())
        for arm in (first, second)
    ]
    block = min(_block(each) for each in chosen)
    found = _differences((first, second), chosen, block, rng, paired=load.paired)
    found += [
        _rate(name, of, (first, second), rng, paired=load.paired) for name, of in _RATES.items()
    ]
    return Separation(found, load.paired, block)


def _block(records: Sequence[Record]) -> int:
    """Requests per block: at least the cube root of all, and few enough for ten blocks."""
    begin_s = min(each.intended_at_s for each in records)
    seconds = max(each.ended_at_s for each in records) - begin_s
    at_once = sum(each.e2e_s for each in records) / seconds if seconds > 0 else 1.0
    wanted: float = max(len(records) ** (1 / 3), _GENERATIONS * at_once)
    return max(1, min(math.ceil(wanted), len(records) // _BLOCKS_LEAST))


def _drawn(count: int, block: int, rng: np.random.Generator) -> np.ndarray:
    """Indices of `count` requests in random blocks; a block wraps around at the end."""
    starts = rng.integers(0, count, size=(math.ceil(count / block), 1))
    places: np.ndarray = ((starts + np.arange(block)) % count).ravel()[:count]
    return places


def _differences(
    arms: Sequence[Arm],
    chosen: Sequence[Sequence[Record]],
    block: int,
    rng: np.random.Generator,
    *,
    paired: bool,
) -> list[Difference]:
    """The differences in all metrics, one draw at a time so that long runs fit into memory."""
    values = [
        [np.array([metric.of(record, arm) for record in records]) for metric in _METRICS]
        for arm, records in zip(arms, chosen, strict=True)
    ]
    many = np.empty((len(_METRICS), DRAWS))
    for draw in range(DRAWS):
        before = _drawn(len(chosen[0]), block, rng)
        after = before if paired else _drawn(len(chosen[1]), block, rng)
        for place, metric in enumerate(_METRICS):
            one = _stated(metric.statistic, values[0][place][before])
            many[place, draw] = _stated(metric.statistic, values[1][place][after]) - one
    return [
        _told(
            metric.name,
            metric.unit,
            (_stated(metric.statistic, first), _stated(metric.statistic, second)),
            drawn,
            _widening(min(map(len, chosen)) // block),
            metric.more_is_better,
        )
        for metric, first, second, drawn in zip(_METRICS, *values, many, strict=True)
    ]


def _stated(statistic: Statistic, values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return statistic(known) if len(known) else math.nan


def _rate(
    name: str,
    of: Callable[[Record], float],
    arms: Sequence[Arm],
    rng: np.random.Generator,
    *,
    paired: bool,
) -> Difference:
    """The difference in a rate over all ended requests; it redraws bins of time."""
    first, second = (_bins(list(arm.records.values()), of) for arm in arms)
    before = rng.integers(0, _BINS, size=(DRAWS, _BINS))
    after = before if paired else rng.integers(0, _BINS, size=(DRAWS, _BINS))
    many = second[after].mean(axis=1) - first[before].mean(axis=1)
    values = (float(first.mean()), float(second.mean()))
    return _told(name, "per_s", values, many, _widening(_BINS), more_is_better=True)


def _bins(records: Sequence[Record], of: Callable[[Record], float]) -> np.ndarray:
    """The rate per second in equal bins from the first arrival to the last."""
    begin_s = min(each.intended_at_s for each in records)
    end_s = max(each.intended_at_s for each in records)
    width_s = (end_s - begin_s) / _BINS or 1.0
    found = np.zeros(_BINS)
    for each in records:
        place = int((each.ended_at_s - begin_s) / width_s)
        if place < _BINS:
            found[place] += of(each) / width_s
    return found


def _told(
    name: str,
    unit: str,
    values: tuple[float, float],
    many: np.ndarray,
    widening: float,
    more_is_better: bool,
) -> Difference:
    if any(map(math.isnan, values)):
        first, second = (None if math.isnan(value) else value for value in values)
        return Difference(name, unit, first, second, None, None, more_is_better)
    between = values[1] - values[0]
    low, high = (
        between + widening * float(each - between) for each in np.nanquantile(many, _TAILS)
    )
    return Difference(name, unit, *values, low, high, more_is_better)


def _widening(blocks: int) -> float:
    """Student's quantile over the normal one (Cornish-Fisher), and n / (n - 1) of the variance."""
    free = max(1, blocks - 1)
    return (1 + (_Z * _Z + 1) / (4 * free)) * math.sqrt((free + 1) / free)


def _limits(first: Arm, second: Arm) -> Difference:
    """The difference of two limits; they differ if their intervals are disjoint (conservative)."""
    ends = [_ends(arm) for arm in (first, second)]
    users = [arm.found.users for arm in (first, second)]
    low = high = None
    if ends[0] and ends[1]:
        low, high = ends[1][0] - ends[0][1], ends[1][1] - ends[0][0]
    one, other = users
    return Difference("limit", "users", one, other, low, high, more_is_better=True)


def _ends(arm: Arm) -> tuple[int, int] | None:
    interval = arm.found.search.get("interval_95") if arm.is_search else None
    return None if interval is None else (interval[0], interval[1])
