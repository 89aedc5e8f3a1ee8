"""The search for the limit, from results "met", "missed" or "invalid" at numbers of users. Pure.

Growth by a factor finds a number that is too high, bisection finds the edge, and a long soak
confirms it. Then the load comes down from above, since a system that was overloaded may sustain
less than one that was not. The search is a function of the rounds so far and keeps no other state.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Phase(StrEnum):
    """The purpose of a round; a confirming round is a soak, the others are short."""

    DOUBLING = "doubling"
    BISECTING = "bisecting"
    CONFIRMING = "confirming"
    DESCENDING = "descending"


class Seen(StrEnum):
    """The result of a round."""

    MET = "met"
    MISSED = "missed"
    INVALID = "invalid"  # the client could not keep up; says nothing about the endpoint


@dataclass(frozen=True, slots=True)
class Probe:
    """The next round: its users and its purpose."""

    users: int
    phase: Phase


@dataclass(frozen=True, slots=True)
class Found:
    """The search's conclusion. `users` = 0 if the endpoint does not carry even one.

    `confirmed`: a soak held there. `from_above` = users at which the descending pass first held,
    None if there was none. `at_most` = the search may not go higher. `invalid` = too many rounds
    were invalid, so nothing is known.
    """

    users: int
    confirmed: bool = False
    from_above: int | None = None
    at_most: bool = False
    invalid: bool = False


@dataclass(frozen=True, slots=True)
class Range:
    """Where to search, and how finely: to `step_ratio` of the users, at least one user."""

    start: int = 8
    most: int = 4096
    growth: float = 2.0  # factor on the users after a round that met the SLO
    step_ratio: float = 0.05  # finer than a soak of 200 requests can resolve
    invalid_most: int = 3  # rounds; one may be the machine's hiccup

    def __post_init__(self) -> None:
        if not 1 <= self.start <= self.most:
            raise ValueError(f"{self}: needs 1 <= start <= most")
        if self.growth <= 1:
            raise ValueError(f"{self}: needs growth > 1")

    def step(self, users: int) -> int:
        """The resolution in users: smaller differences are not searched."""
        return max(1, round(users * self.step_ratio))


Round = tuple[Probe, Seen]
_OVERLOAD = 1.25  # multiple of the limit at which the descending pass starts
_DOWN = 4  # steps below the limit that the descending pass tries
_FALLS = 6  # missed soaks before the search gives up; each moves the limit twice as far


def next_step(rounds: Sequence[Round], within: Range) -> Probe | Found:
    """The next probe or the conclusion; a search takes at most about 40 rounds."""
    if rounds and rounds[-1][1] is Seen.INVALID:
        invalid = sum(seen is Seen.INVALID for _, seen in rounds)
        return Found(0, invalid=True) if invalid >= within.invalid_most else rounds[-1][0]
    valid = [each for each in rounds if each[1] is not Seen.INVALID]
    soaked = [each for each in valid if each[0].phase is Phase.CONFIRMING]
    if soaked:
        return _after_soak(valid, soaked, within)
    return _climb(valid, within)


def _climb(rounds: Sequence[Round], within: Range) -> Probe | Found:
    """Grows or shrinks the users until the edge is between two numbers, then bisects."""
    if not rounds:
        return Probe(within.start, Phase.DOUBLING)
    low, high = _edge(rounds, within)
    if high is None:
        if low == within.most:
            return Probe(low, Phase.CONFIRMING)
        return Probe(min(within.most, math.ceil(within.growth * low)), Phase.DOUBLING)
    if low == 0:
        return Found(0) if high == 1 else Probe(high // 2, Phase.DOUBLING)
    if high - low > within.step(low):
        return Probe((low + high) // 2, Phase.BISECTING)
    return Probe(low, Phase.CONFIRMING)


def _edge(rounds: Sequence[Round], within: Range) -> tuple[int, int | None]:
    """The most users that met the SLO below the fewest that missed it; 0 and None = none yet."""
    missed = [probe.users for probe, seen in rounds if seen is Seen.MISSED]
    high = min(missed, default=None)
    ceiling = within.most + 1 if high is None else high
    met = [probe.users for probe, seen in rounds if seen is Seen.MET and probe.users < ceiling]
    return max(met, default=0), high


def _after_soak(rounds: Sequence[Round], soaked: Sequence[Round], within: Range) -> Probe | Found:
    """A soak that failed moves the limit down, each time twice as far; one that held confirms."""
    last, seen = soaked[-1]
    if seen is Seen.MISSED:
        lower = last.users - within.step(last.users) * (1 << (len(soaked) - 1))
        if lower < 1 or len(soaked) >= _FALLS:
            return Found(0)
        return Probe(lower, Phase.CONFIRMING)
    return _descend(rounds, last.users, within)


def _descend(rounds: Sequence[Round], limit: int, within: Range) -> Probe | Found:
    """Descends from above the limit until a round holds, or to the lowest allowed step."""
    if limit == within.most:
        return Found(limit, confirmed=True, at_most=True)
    passed = [each for each in rounds if each[0].phase is Phase.DESCENDING]
    held = next((probe.users for probe, seen in passed if seen is Seen.MET), None)
    ways = _way_down(limit, within)
    if held is not None or len(passed) == len(ways):
        return Found(limit, confirmed=True, from_above=held)
    return Probe(ways[len(passed)], Phase.DESCENDING)


def _way_down(limit: int, within: Range) -> list[int]:
    """Overload, one step above the limit, the limit, and some steps below it."""
    step = within.step(limit)
    top = min(within.most, max(limit + 2 * step, round(limit * _OVERLOAD)))
    ways = [top, min(within.most, limit + step)]
    ways += [limit - n * step for n in range(_DOWN + 1)]
    return [users for users in dict.fromkeys(ways) if users >= 1]
