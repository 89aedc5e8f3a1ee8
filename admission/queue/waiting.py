"""The bounded queue: priority classes, fair turns inside one, a deadline for each request.

A class rises: once its head has waited for half of its time to the deadline, the class takes part
in the class above as one more tenant, after three quarters in the one above that. So no request
starves, and a flood in a lower class gets no more than one tenant's share of a higher one.
"""

import heapq
from collections.abc import Iterator
from itertools import islice

from admission.queue.turns import CLASS_BELOW, QueueLoad, Ticket, Turns
from admission.terms.decision import Priority
from admission.terms.settings import Policy, Settings

__all__ = ["RISES_AT_RATIO", "QueueLoad", "Ticket", "WaitingQueue", "risen"]

RISES_AT_RATIO = 0.5  # of the time to the deadline; then by half of what is left
_DEADLINES_MIN = 64  # fewer forgotten deadlines are not worth a clean-up
_ORDER = tuple(Priority)
_RANK = {priority: rank for rank, priority in enumerate(Priority)}


def risen(ticket: Ticket, now_s: float) -> Priority:
    """The class in which a request takes part by now, if it is the head of its own."""
    left, rank = 1.0 - ticket.waited_ratio(now_s), _RANK[ticket.priority]
    while rank and left <= RISES_AT_RATIO:
        left, rank = left / RISES_AT_RATIO, rank - 1
    return _ORDER[rank]


class WaitingQueue:
    """Order and sums of the waiting requests; the dispatcher decides which of them may start."""

    def __init__(self, settings: Settings | None = None) -> None:
        settings = settings or Settings()
        self._classes = {priority: Turns(settings) for priority in Priority}
        self._tickets: dict[int, Ticket] = {}
        self._deadlines: list[tuple[float, int]] = []  # heap; may hold tickets that have left
        self.reconfigure(settings)

    def __len__(self) -> int:
        return len(self._tickets)

    def __contains__(self, ticket_id: int) -> bool:
        return ticket_id in self._tickets

    def __iter__(self) -> Iterator[Ticket]:
        return iter(self._tickets.values())

    def reconfigure(self, settings: Settings) -> None:
        """Apply new weights; waiting requests keep their order within a tenant."""
        # a fixed number of slots ignores cost, and so does its queue
        static = settings.policy is Policy.STATIC
        self._cost_weight = 0.0 if static else settings.queue_cost_weight
        for turns in self._classes.values():
            turns.reconfigure(settings)

    def turn_at_s(self, deadline_at_s: float, cost_s: float) -> float:
        """Sort key within a tenant of a request that costs `cost_s` engine seconds."""
        return deadline_at_s + self._cost_weight * cost_s

    def add(self, ticket: Ticket) -> None:
        """Add a ticket."""
        self._tickets[ticket.ticket_id] = ticket
        self._classes[ticket.priority].add(ticket)
        if len(self._deadlines) > 2 * len(self._tickets) + _DEADLINES_MIN:
            self._deadlines = [entry for entry in self._deadlines if entry[1] in self._tickets]
            heapq.heapify(self._deadlines)
        heapq.heappush(self._deadlines, (ticket.expires_at_s, ticket.ticket_id))

    def remove(self, ticket_id: int) -> Ticket | None:
        """Remove a ticket from any position; None when it is not in the queue."""
        ticket = self._tickets.pop(ticket_id, None)
        if ticket is not None:
            self._classes[ticket.priority].remove(ticket)
        return ticket

    # -- order -----------------------------------------------------------------------------

    def head(self, now_s: float) -> Ticket | None:
        """The ticket whose turn it is; None when the queue is empty."""
        chosen: Ticket | None = None
        for priority, turns in reversed(self._classes.items()):
            own = turns.head()
            if own is None:
                continue
            below = chosen is not None and _RANK[risen(chosen, now_s)] <= _RANK[priority]
            if not (below and turns.below_goes_first()):
                chosen = own
        return chosen

    def behind(self, head: Ticket, count: int) -> list[Ticket]:
        """The next `count` tickets behind the head, roughly in the order of their turns."""
        order = (t for turns in self._classes.values() for t in turns.in_turns(count + 1))
        return list(islice((ticket for ticket in order if ticket is not head), count))

    def expired(self, now_s: float) -> Ticket | None:
        """A ticket whose deadline is past; None when there is none."""
        while self._deadlines and self._deadlines[0][0] <= now_s:
            ticket = self._tickets.get(self._deadlines[0][1])
            if ticket:
                return ticket
            heapq.heappop(self._deadlines)
        return None

    def charge(self, tenant: str, priority: Priority, seconds: float) -> None:
        """Count service to a tenant, for requests that waited and for others.

        Where higher classes wait, it also counts as a turn of its class among their tenants.
        """
        for each, turns in self._classes.items():
            if each is priority:
                turns.charge(tenant, seconds)
                return
            if turns.load.requests:
                turns.charge(CLASS_BELOW, seconds)

    def correct(self, tenant: str, priority: Priority, seconds: float) -> None:
        """Correct service charged before by `seconds`; negative where it took less."""
        self._classes[priority].correct(tenant, seconds)

    # -- readings --------------------------------------------------------------------------

    @property
    def load(self) -> QueueLoad:
        """What waits in all classes."""
        return self.load_up_to(Priority.LOW)

    def counter_s(self, tenant: str, priority: Priority) -> float:
        """Seconds of the engine's time a tenant has had / its weight; the least goes first."""
        return self._classes[priority].counter_s(tenant)

    def tenant_requests(self, tenant: str) -> int:
        """Number of a tenant's waiting requests, over all classes."""
        return sum(turns.tenant_requests(tenant) for turns in self._classes.values())

    def overtakes_all(self, priority: Priority, now_s: float) -> bool:
        """Whether a newcomer of this class would be the head at once."""
        for each, turns in self._classes.items():
            if turns.load.requests:
                return False
            if each is priority:
                break
        head = self.head(now_s)
        return head is None or _RANK[risen(head, now_s)] > _RANK[priority]

    def load_up_to(self, priority: Priority) -> QueueLoad:
        """What waits in this class and those served before it."""
        total = QueueLoad()
        for each, turns in self._classes.items():
            total.add(turns.load)
            if each is priority:
                break
        return total

    def ahead_of(self, tenant: str, priority: Priority, turn_at_s: float) -> QueueLoad:
        """Estimate of what would be served before a newcomer.

        All higher classes, and of its own the share that goes before its turn.
        """
        ahead = QueueLoad()
        for each, turns in self._classes.items():
            if each is priority:
                ahead.add(turns.load, turns.ahead_of(tenant, turn_at_s))
                break
            ahead.add(turns.load)
        return ahead
