"""A known schedule again: the same requests go in at the same instants, without those it lost.

What was let in and missed its bounds took time from others for nothing. Each round leaves it out;
what that makes late in its turn is left out of the next.
"""

from collections import deque
from collections.abc import Mapping, Sequence

from serve.lab.door import Bounds, Verdict
from serve.lab.outcome import Outcome
from serve.lab.workload import TraceRequest
from serve.sequences import EngineStep

LEFT_OUT = "left_out"


def schedule_of(outcomes: Sequence[Outcome], bounds: Bounds) -> dict[int, float]:
    """When each request that met its bounds was let in, by number."""
    return {
        each.request.number: each.accepted_at_s
        for each in outcomes
        if each.accepted_at_s is not None and each.good(bounds)
    }


class Replay:
    """A door that follows a schedule; who is not in it is refused."""

    def __init__(self, schedule: Mapping[int, float]) -> None:
        self._schedule = schedule
        self._waiting: deque[tuple[float, int]] = deque()

    @property
    def waiting(self) -> int:
        """How many are still to be let in."""
        return len(self._waiting)

    def offer(self, request: TraceRequest, now_s: float) -> Sequence[Verdict]:
        """At once, later, or not at all."""
        at_s = self._schedule.get(request.number)
        if at_s is None:
            return [Verdict(request.number, LEFT_OUT)]
        self._waiting.append((at_s, request.number))
        return self.tick(now_s)

    def stepped(self, step: EngineStep, now_s: float) -> Sequence[Verdict]:  # noqa: ARG002
        """Only the time counts."""
        return self.tick(now_s)

    def tick(self, now_s: float) -> Sequence[Verdict]:
        """Let in who is due. The schedule's instants are ends of steps, arrivals and ticks."""
        due = [entry for entry in self._waiting if entry[0] <= now_s]
        for entry in due:
            self._waiting.remove(entry)
        return [Verdict(number) for _, number in sorted(due)]
