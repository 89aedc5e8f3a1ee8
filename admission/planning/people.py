"""How many users a load serves if each thinks between an answer and the next request.

The interactive response-time law: N = X (R + Z), with X requests a second, R seconds of a request
in the engine and Z seconds of think time. By Little's law X R requests run at once, so N = at once
+ X Z. These are means: at times more users send requests at once, and requests queue.
"""

from dataclasses import dataclass

from admission.planning.plan import PlannedLoad


@dataclass(frozen=True, slots=True)
class People:
    """The terms of the law: `users` = N, `residence_s` = R, `think_s` = Z."""

    users: int
    residence_s: float
    think_s: float


def people(load: PlannedLoad, think_s: float) -> People | None:
    """The users that the load sustains; None if it sustains none or the speed is unknown."""
    at_once, rate = load.sustained.expected, load.rate_per_s
    if not at_once or not rate:
        return None
    return People(round(at_once + rate * think_s), at_once / rate, think_s)
