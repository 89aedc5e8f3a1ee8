"""How many people a load serves, when each thinks between an answer and the next request.

The interactive response-time law: N = X (R + Z), with X requests a second, R seconds that a request
is in the engine and Z seconds of thinking. By Little's law X R are the requests at once, so
N = at once + X Z. Both are means: at moments more people ask at once, and requests queue.
"""

from dataclasses import dataclass

from admission.planning.plan import PlannedLoad


@dataclass(frozen=True, slots=True)
class People:
    """`users` = N, `residence_s` = R, `think_s` = Z."""

    users: int
    residence_s: float
    think_s: float


def people(load: PlannedLoad, think_s: float) -> People | None:
    """Of what the load sustains; None where nothing is, or where the card's speed is not known."""
    at_once, rate = load.sustained.expected, load.rate_per_s
    if not at_once or not rate:
        return None
    return People(round(at_once + rate * think_s), at_once / rate, think_s)
