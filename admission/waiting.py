"""The bounded line: priority classes, fair between tenants inside one, a deadline for each.

Fairness is the virtual token counter of VTC (Sheng et al., OSDI 2024): the tenant that was served
least goes first, served tokens being prompt + 2 x output. A tenant that comes back from nothing
starts at the counter of whoever was served last, so that idling saves nothing up. Inside a tenant:
arrival.
"""

import heapq
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

from admission.decision import Priority
from admission.footprint import Price

_OUTPUT_WEIGHT = 2  # VTC's w_q / w_p: a generated token costs about two prompt tokens
_DEADLINES_MIN = 64  # fewer forgotten deadlines are not worth a clean-up


@dataclass(slots=True, eq=False)
class Ticket:
    """One waiting request; `price` is that of its arrival, by which the line counts it."""

    ticket_id: int
    tenant: str
    priority: Priority
    price: Price
    expires_at_s: float


@dataclass(slots=True)
class Load:
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
        self.tokens += sign * price.line_tokens
        self.prefill_tokens += sign * price.prefill_tokens
        self.area_block_steps += sign * price.area_block_steps
        self.sequence_steps += sign * price.sequence_steps

    def add(self, part: "Load", share: float = 1.0) -> None:
        """Add a share (0-1) of another load, rounded down."""
        if part.requests:
            self.requests += int(part.requests * share)
            self.tokens += int(part.tokens * share)
            self.prefill_tokens += int(part.prefill_tokens * share)
            self.area_block_steps += int(part.area_block_steps * share)
            self.sequence_steps += int(part.sequence_steps * share)


class _Class:
    """One priority class: its waiting requests by tenant, and what each tenant was served."""

    def __init__(self) -> None:
        self.load = Load()
        self.by_tenant: dict[str, OrderedDict[int, Ticket]] = {}
        self._served: dict[str, float] = {}  # virtual tokens
        self._last_start = 0.0  # counter of the tenant served last, before it was
        # heap of (counter, tie, tenant); lags behind what is served, and keeps who left for a while
        self._order: list[tuple[float, int, str]] = []
        self._ordered: set[str] = set()  # the tenants in it, each once
        self._ties = 0

    def add(self, ticket: Ticket) -> None:
        queue = self.by_tenant.get(ticket.tenant)
        if queue is None:
            queue = self.by_tenant[ticket.tenant] = OrderedDict()
            self._enter(ticket.tenant)
        queue[ticket.ticket_id] = ticket
        self.load.count(ticket, 1)

    def _enter(self, tenant: str) -> None:
        counter = self._lifted(tenant)
        if tenant not in self._ordered:
            self._ordered.add(tenant)
            self._ties += 1
            heapq.heappush(self._order, (counter, self._ties, tenant))

    def _lifted(self, tenant: str) -> float:
        counter = max(self._served.get(tenant, 0.0), self._last_start)
        self._served[tenant] = counter
        return counter

    def remove(self, ticket: Ticket) -> None:
        queue = self.by_tenant[ticket.tenant]
        del queue[ticket.ticket_id]
        if not queue:
            del self.by_tenant[ticket.tenant]
        self.load.count(ticket, -1)

    def head(self) -> Ticket | None:
        while self._order:
            counter, tie, tenant = self._order[0]
            if tenant not in self.by_tenant:
                heapq.heappop(self._order)
                self._ordered.remove(tenant)
            elif counter != self._served[tenant]:
                heapq.heapreplace(self._order, (self._served[tenant], tie, tenant))
            else:
                return next(iter(self.by_tenant[tenant].values()))
        return None

    def charge(self, tenant: str, price: Price) -> None:
        self._last_start = self._lifted(tenant)
        cost = price.prompt_tokens + _OUTPUT_WEIGHT * price.output_tokens
        self._served[tenant] = self._last_start + cost

    def ahead_of(self, tenant: str) -> float:
        """Share (0-1) of this class that fair turns let pass before a newcomer of the tenant."""
        own = len(self.by_tenant.get(tenant, ()))
        turns = (own + 1) * (len(self.by_tenant) + (own == 0)) - 1
        return min(1.0, turns / max(1, self.load.requests))


class WaitingLine:
    """Order and sums of those who wait; the controller decides who may leave it."""

    def __init__(self) -> None:
        self._classes = {priority: _Class() for priority in Priority}
        self._tickets: dict[int, Ticket] = {}
        self._deadlines: list[tuple[float, int]] = []  # heap; keeps those who left for a while

    def __len__(self) -> int:
        return len(self._tickets)

    def __contains__(self, ticket_id: int) -> bool:
        return ticket_id in self._tickets

    def __iter__(self) -> Iterator[Ticket]:
        return iter(self._tickets.values())

    def add(self, ticket: Ticket) -> None:
        """Join the line behind one's own tenant."""
        self._tickets[ticket.ticket_id] = ticket
        self._classes[ticket.priority].add(ticket)
        if len(self._deadlines) > 2 * len(self._tickets) + _DEADLINES_MIN:
            self._deadlines = [entry for entry in self._deadlines if entry[1] in self._tickets]
            heapq.heapify(self._deadlines)
        heapq.heappush(self._deadlines, (ticket.expires_at_s, ticket.ticket_id))

    def remove(self, ticket_id: int) -> Ticket | None:
        """Leave the line, from wherever one stands; None when not in it."""
        ticket = self._tickets.pop(ticket_id, None)
        if ticket is not None:
            self._classes[ticket.priority].remove(ticket)
        return ticket

    def head(self) -> Ticket | None:
        """Whose turn it is."""
        for group in self._classes.values():
            if group.by_tenant:
                return group.head()
        return None

    def expired(self, now_s: float) -> Ticket | None:
        """One whose deadline is past, still in line; None when nobody's is."""
        while self._deadlines and self._deadlines[0][0] <= now_s:
            ticket = self._tickets.get(self._deadlines[0][1])
            if ticket:
                return ticket
            heapq.heappop(self._deadlines)
        return None

    def charge(self, tenant: str, priority: Priority, price: Price) -> None:
        """Count service to a tenant, whether it waited or not."""
        self._classes[priority].charge(tenant, price)

    # -- readings --------------------------------------------------------------------------

    @property
    def load(self) -> Load:
        """What waits in all classes."""
        return self.load_up_to(Priority.LOW)

    def tenant_requests(self, tenant: str) -> int:
        """How many of a tenant's requests wait, over all classes."""
        return sum(len(group.by_tenant.get(tenant, ())) for group in self._classes.values())

    def overtakes_all(self, priority: Priority) -> bool:
        """Whether a newcomer of this class would be the head at once."""
        for each, group in self._classes.items():
            if group.load.requests:
                return False
            if each is priority:
                break
        return True

    def load_up_to(self, priority: Priority) -> Load:
        """What waits in this class and those served before it."""
        total = Load()
        for each, group in self._classes.items():
            total.add(group.load)
            if each is priority:
                break
        return total

    def ahead_of(self, tenant: str, priority: Priority) -> Load:
        """Estimate of what would be served before a newcomer.

        All higher classes, and of its own the share that goes before its tenant's next turn.
        """
        ahead = Load()
        for each, group in self._classes.items():
            if each is priority:
                ahead.add(group.load, group.ahead_of(tenant))
                break
            ahead.add(group.load)
        return ahead
