"""Turns inside one priority class: fair between tenants; inside one by deadline and by cost.

Requests are ordered by deadline plus `cost_weight` seconds for each second of the engine's time
that they take (Niyama's hybrid of deadline and shortest first): under overload more are served, and
the weight bounds how far a later request can overtake.

Fairness is that of VTC (Sheng et al., OSDI 2024): the tenant that has had the fewest seconds of the
engine's time for its weight goes first. A tenant that returns after idling starts at the counter of
the tenant served last, so that idle time is not saved up.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

from admission.price.footprint import Price
from admission.terms.decision import Priority
from admission.terms.settings import Settings

# Name under which the class below is counted once its head has risen; no tenant can have it.
CLASS_BELOW = ""


@dataclass(slots=True, eq=False)
class Ticket:
    """One waiting request; the queue counts it by `price`, its price on arrival.

    Within a tenant, the ticket with the least `turn_at_s` comes first.
    """

    ticket_id: int
    tenant: str
    priority: Priority
    price: Price
    turn_at_s: float
    expires_at_s: float
    arrived_at_s: float = 0.0

    def waited_ratio(self, now_s: float) -> float:
        """Share of its time to the deadline that is over."""
        return (now_s - self.arrived_at_s) / max(self.expires_at_s - self.arrived_at_s, 1e-9)


@dataclass(slots=True)
class QueueLoad:
    """Sums over waiting requests."""

    requests: int = 0
    tokens: int = 0
    prefill_tokens: int = 0
    area_block_steps: int = 0
    sequence_steps: int = 0

    def count(self, ticket: Ticket, sign: int) -> None:
        """Count a ticket in (+1) or out (-1)."""
        price = ticket.price
        self.requests += sign
        self.tokens += sign * price.queue_tokens
        self.prefill_tokens += sign * price.prefill_tokens
        self.area_block_steps += sign * price.area_block_steps
        self.sequence_steps += sign * price.sequence_steps

    def add(self, part: "QueueLoad", share: float = 1.0) -> None:
        """Add a share (0-1) of another load, rounded down."""
        if part.requests:
            self.requests += int(part.requests * share)
            self.tokens += int(part.tokens * share)
            self.prefill_tokens += int(part.prefill_tokens * share)
            self.area_block_steps += int(part.area_block_steps * share)
            self.sequence_steps += int(part.sequence_steps * share)


class Turns:
    """One priority class: its waiting requests by tenant, and the service each tenant has had.

    All lists are sorted: an insertion moves some pointers, and the order can be read directly.
    """

    def __init__(self, settings: Settings) -> None:
        self.load = QueueLoad()
        # by tenant: (`turn_at_s`, ticket id, ticket), sorted
        self._queues: dict[str, list[tuple[float, int, Ticket]]] = {}
        self._served: dict[str, float] = {}  # seconds / weight
        self._last_start = 0.0  # counter of the tenant served last, before it was
        # (counter, tie, tenant) of waiting tenants, sorted
        self._order: list[tuple[float, int, str]] = []
        self._entry: dict[str, tuple[float, int, str]] = {}  # a tenant's entry in `_order`
        self._ties = 0
        self.reconfigure(settings)

    def reconfigure(self, settings: Settings) -> None:
        """Apply new weights; service counted so far stays as it is."""
        self._settings = settings
        self._waiting_weight = sum(map(self._weight, self._queues))

    def _weight(self, tenant: str) -> float:
        return 1.0 if tenant == CLASS_BELOW else self._settings.terms_of(tenant).weight

    # -- joining and leaving ---------------------------------------------------------------

    def add(self, ticket: Ticket) -> None:
        """Add a ticket to its tenant, before tickets whose turn comes later."""
        queue = self._queues.get(ticket.tenant)
        if queue is None:
            queue = self._queues[ticket.tenant] = []
            self._enter(ticket.tenant)
        insort(queue, (ticket.turn_at_s, ticket.ticket_id, ticket))
        self.load.count(ticket, 1)

    def _enter(self, tenant: str) -> None:
        self._ties += 1
        self._served[tenant] = self.counter_s(tenant)
        entry = self._entry[tenant] = (self._served[tenant], self._ties, tenant)
        insort(self._order, entry)
        self._waiting_weight += self._weight(tenant)

    def remove(self, ticket: Ticket) -> None:
        """Remove a ticket from any position."""
        queue = self._queues[ticket.tenant]
        del queue[bisect_left(queue, (ticket.turn_at_s, ticket.ticket_id))]
        if not queue:
            del self._queues[ticket.tenant]
            self._take_out(ticket.tenant)
            self._waiting_weight -= self._weight(ticket.tenant)
        self.load.count(ticket, -1)

    def _take_out(self, tenant: str) -> int:
        entry = self._entry.pop(tenant)
        del self._order[bisect_left(self._order, entry)]
        return entry[1]

    # -- serving ---------------------------------------------------------------------------

    def counter_s(self, tenant: str) -> float:
        """Seconds / weight that a tenant would be counted at if a request of it arrived now."""
        return max(self._served.get(tenant, 0.0), self._last_start)

    def charge(self, tenant: str, seconds: float) -> None:
        """Count service that begins now."""
        start = self._served[tenant] if tenant in self._entry else self.counter_s(tenant)
        self._last_start = max(self._last_start, start)
        self._set(tenant, start + seconds / self._weight(tenant))

    def correct(self, tenant: str, seconds: float) -> None:
        """Correct service counted before by `seconds`; negative where it took less."""
        self._set(tenant, self._served.get(tenant, 0.0) + seconds / self._weight(tenant))

    def _set(self, tenant: str, served: float) -> None:
        self._served[tenant] = served
        if tenant in self._entry:
            entry = (served, self._take_out(tenant), tenant)
            self._entry[tenant] = entry
            insort(self._order, entry)

    # -- readings --------------------------------------------------------------------------

    def head(self) -> Ticket | None:
        """The ticket whose turn it is; None when nothing waits."""
        return self._queues[self._order[0][2]][0][2] if self._order else None

    def below_goes_first(self) -> bool:
        """Whether the class below, taking part as one more tenant, has had the least service."""
        return not self._order or self.counter_s(CLASS_BELOW) < self._order[0][0]

    def in_turns(self, depth: int) -> Iterator[Ticket]:
        """The first ticket of each tenant in order, then each second one, up to `depth` each."""
        queues = [self._queues[tenant] for _, _, tenant in self._order[:depth]]
        for place in range(depth):
            for queue in queues:
                if place < len(queue):
                    yield queue[place][2]

    def tenant_requests(self, tenant: str) -> int:
        """Number of a tenant's waiting requests in this class."""
        return len(self._queues.get(tenant, ()))

    def ahead_of(self, tenant: str, turn_at_s: float) -> float:
        """Share (0-1) of this class that fair turns let pass before a newcomer of the tenant.

        One turn of each tenant with less service, and one round of all per request of its own.
        """
        queue, weight = self._queues.get(tenant, []), self._weight(tenant)
        own = bisect_right(queue, (turn_at_s, inf))
        others = self._waiting_weight - (weight if queue else 0.0)
        place = self._entry[tenant] if queue else (self.counter_s(tenant), self._ties + 1, tenant)
        served_less = bisect_left(self._order, place)
        turns = own + own * others / weight + served_less
        return min(1.0, turns / max(1, self.load.requests))
