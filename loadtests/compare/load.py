"""Whether two arms had the same load: first its parameters, then the requests themselves."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from loadtests.compare.arm import Arm

_ASKED = (
    "scenario",
    "prompts",
    "load",
    "slo",
    "route",
    "ending",
    "think_s",
    "deadline_ms",
    "retries",
    "obeys_retry_after",
    "patience_s",
    "hangs_up",
    "soak_s",
    "soak_requests",
)
_OF_ENDPOINT = ("time_scale",)  # it changes the share of time that client and gateway take
_SAME_INSTANT_S = 0.001
_KS_FACTOR = 1.358  # times 1/sqrt(n): equal distributions stay below it in 95 % of cases


class Alike(StrEnum):
    """How similar two sets of requests, or of arrivals, are."""

    SAME = "same"  # one by one
    ONE_DISTRIBUTION = "one_distribution"  # not distinguishable
    DIFFERENT = "different"
    UNKNOWN = "unknown"  # not recorded, or not part of the load


@dataclass(frozen=True, slots=True)
class Load:
    """`facts`: differing parameters (name, first, second). `common`: request numbers in both."""

    facts: Sequence[tuple[str, str, str]]
    requests: Alike
    arrivals: Alike
    common: Sequence[float]

    @property
    def same(self) -> bool:
        """Whether a difference between the arms comes from the endpoint, not from the load."""
        return not self.facts and Alike.DIFFERENT not in (self.requests, self.arrivals)

    @property
    def paired(self) -> bool:
        """Whether each request of one arm has a counterpart in the other."""
        return self.requests is Alike.SAME and self.arrivals in (Alike.SAME, Alike.UNKNOWN)


def compare_load(first: Arm, second: Arm) -> Load:
    """Compares the loads of two arms."""
    common = sorted(first.records.keys() & second.records.keys())
    return Load(
        facts=_facts(first, second),
        requests=_requests(first, second, common),
        arrivals=_arrivals(first, second),
        common=common,
    )


def _facts(first: Arm, second: Arm) -> list[tuple[str, str, str]]:
    pairs = [(name, first.about.get(name), second.about.get(name)) for name in _ASKED]
    endpoints = first.about["endpoint"], second.about["endpoint"]
    pairs += [(name, endpoints[0].get(name), endpoints[1].get(name)) for name in _OF_ENDPOINT]
    return [(name, str(one), str(other)) for name, one, other in pairs if one != other]


def _requests(first: Arm, second: Arm, common: Sequence[float]) -> Alike:
    """Compares requested lengths; those of searches, which end at random, only as distributions."""
    if not first.records or not second.records:
        return Alike.UNKNOWN
    one, other = _lengths(first), _lengths(second)
    twins = all(one[n] == other[n] for n in common)
    if common and twins and (not first.is_open or one.keys() == other.keys()):
        return Alike.SAME
    near = [
        _one_distribution([each[part] for each in one.values()], [e[part] for e in other.values()])
        for part in (0, 1)
    ]
    return Alike.ONE_DISTRIBUTION if all(near) else Alike.DIFFERENT


def _lengths(arm: Arm) -> dict[float, tuple[int, int]]:
    return {
        number: (each.asked_prompt_tokens, each.asked_output_tokens)
        for number, each in arm.records.items()
    }


def _arrivals(first: Arm, second: Arm) -> Alike:
    """Compares arrivals; in a closed loop the answers determine them: not part of the load."""
    if not (first.is_open and second.is_open and first.records and second.records):
        return Alike.UNKNOWN
    one, other = _instants(first), _instants(second)
    if len(one) == len(other) and np.abs(one - other).max() <= _SAME_INSTANT_S:
        return Alike.SAME
    near = _one_distribution(one, other) and _same_count(len(one), len(other))
    return Alike.ONE_DISTRIBUTION if near else Alike.DIFFERENT


def _instants(arm: Arm) -> np.ndarray:
    """Arrival times in seconds from the first."""
    instants = np.array([each.intended_at_s for each in arm.records.values()])
    return np.sort(instants - instants.min())


def _same_count(one: int, other: int) -> bool:
    """Whether two Poisson counts may have one rate (95 %)."""
    return abs(one - other) <= 1.96 * math.sqrt(one + other)


def _one_distribution(
    one: Sequence[float] | np.ndarray, other: Sequence[float] | np.ndarray
) -> bool:
    """Two-sample Kolmogorov-Smirnov test at 5 %."""
    first, second = np.sort(one), np.sort(other)
    every = np.concatenate([first, second])
    below = [np.searchsorted(each, every, side="right") / len(each) for each in (first, second)]
    distance = np.abs(below[0] - below[1]).max()
    size = len(first) * len(second) / (len(first) + len(second))
    return bool(distance <= _KS_FACTOR / math.sqrt(size))
