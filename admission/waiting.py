"""The bounded line: priority classes, fair between tenants inside one, a deadline for each.

Fairness is the virtual token counter of VTC (Sheng et al., OSDI 2024): the tenant that was served
least goes first, served tokens being prompt + 2 x output; a tenant that comes back from nothing is
lifted to the least counter in line, so that idling saves nothing up. Inside a tenant: arrival.
"""

import heapq
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from admission.decision import Priority
from admission.footprint import Price

_OUTPUT_WEIGHT = 2  # VTC's w_q / w_p: a generated token costs about two prompt tokens


@dataclass(slots=True, eq=False)
class Ticket:
    """One waiting request; `price` is that of its arrival, by which the line counts it."""

    ticket_id: int
    tenant: str
    priority: Priority
    price: Price
    expires_at_s: float
    waiting: bool = True


@dataclass(slots=True)
class Load:
    """Sums over waiting requests."""

    requests: int = 0
    tokens: int = 0
    prefill_tokens: int = 0
    area_block_steps: int = 0
    output_steps: int = 0

    def add(self, ticket: Ticket, sign: int) -> None:
        """Count a ticket in (+1) or out (-1)."""
        self.requests += sign
        self.tokens += sign * ticket.price.line_tokens
        self.area_block_steps += sign * ticket.price.area_block_steps
        self.prefill_tokens += sign * ticket.price.prefill_tokens
        self.output_steps += sign * ticket.price.output_tokens


class _Class:
    """The tenants of one priority class that have somebody waiting."""

    def __init__(self) -> None:
        self.load = Load()
        self.by_tenant: dict[str, deque[Ticket]] = {}
        self.count_by_tenant: dict[str, int] = {}
        self.order: list[tuple[float, int, str]] = []  # heap: (counter, tie, tenant)


class WaitingLine:
    """Order and sums of those who wait; the controller decides who may leave it."""

    def __init__(self) -> None:
        self.load = Load()
        self._classes = {priority: _Class() for priority in Priority}
        self._served: dict[str, float] = {}  # tenant -> virtual tokens served
        self._tickets: dict[int, Ticket] = {}
        self._deadlines: list[tuple[float, int]] = []
        self._ties = 0

    def __len__(self) -> int:
        return len(self._tickets)

    def __contains__(self, ticket_id: int) -> bool:
        return ticket_id in self._tickets

    def __iter__(self) -> Iterator[Ticket]:
        return iter(self._tickets.values())

    def add(self, ticket: Ticket) -> None:
        """Join the line behind one's own tenant."""
        group = self._classes[ticket.priority]
        queue = group.by_tenant.get(ticket.tenant)
        if queue is None:
            queue = group.by_tenant[ticket.tenant] = deque()
            self._lift(group, ticket.tenant)
            self._ties += 1
            heapq.heappush(group.order, (self._served[ticket.tenant], self._ties, ticket.tenant))
        queue.append(ticket)
        group.count_by_tenant[ticket.tenant] = group.count_by_tenant.get(ticket.tenant, 0) + 1
        self._tickets[ticket.ticket_id] = ticket
        heapq.heappush(self._deadlines, (ticket.expires_at_s, ticket.ticket_id))
        group.load.add(ticket, 1)
        self.load.add(ticket, 1)

    def _lift(self, group: _Class, tenant: str) -> None:
        least = group.order[0][0] if group.order else self._served.get(tenant, 0.0)
        self._served[tenant] = max(self._served.get(tenant, 0.0), least)

    def remove(self, ticket_id: int) -> Ticket | None:
        """Leave the line, from wherever one stands; None when not in it."""
        ticket = self._tickets.pop(ticket_id, None)
        if ticket is None:
            return None
        ticket.waiting = False  # its place in the tenant's queue is cleared when it comes up
        group = self._classes[ticket.priority]
        group.load.add(ticket, -1)
        self.load.add(ticket, -1)
        group.count_by_tenant[ticket.tenant] -= 1
        if not group.count_by_tenant[ticket.tenant]:
            del group.count_by_tenant[ticket.tenant]
        return ticket

    def head(self) -> Ticket | None:
        """Whose turn it is."""
        for group in self._classes.values():
            ticket = self._head_of(group)
            if ticket:
                return ticket
        return None

    def _head_of(self, group: _Class) -> Ticket | None:
        while group.order:
            counter, tie, tenant = group.order[0]
            queue = group.by_tenant[tenant]
            while queue and not queue[0].waiting:
                queue.popleft()
            if not queue:
                heapq.heappop(group.order)
                del group.by_tenant[tenant]
            elif counter != self._served[tenant]:
                heapq.heapreplace(group.order, (self._served[tenant], tie, tenant))
            else:
                return queue[0]
        return None

    def charge(self, tenant: str, price: Price) -> None:
        """Count service to a tenant, whether it waited or not."""
        cost = price.prompt_tokens + _OUTPUT_WEIGHT * price.output_tokens
        self._served[tenant] = self._served.get(tenant, 0.0) + cost

    def expired(self, now_s: float) -> list[Ticket]:
        """Take out everybody whose deadline is past."""
        gone: list[Ticket] = []
        while self._deadlines and self._deadlines[0][0] <= now_s:
            _, ticket_id = heapq.heappop(self._deadlines)
            ticket = self.remove(ticket_id)
            if ticket:
                gone.append(ticket)
        return gone

    def tenant_requests(self, tenant: str) -> int:
        """How many of a tenant's requests wait, over all classes."""
        return sum(group.count_by_tenant.get(tenant, 0) for group in self._classes.values())

    def overtakes_all(self, priority: Priority) -> bool:
        """Whether a newcomer of this class would be the head at once."""
        for each, group in self._classes.items():
            if group.load.requests:
                return False
            if each is priority:
                return True
        return True

    def ahead_of(self, tenant: str, priority: Priority) -> Load:
        """Estimate of what would be served before a newcomer: all higher classes, and of its own
        class the share that fair turns let pass before its tenant's turn comes again."""
        ahead = Load()
        for each, group in self._classes.items():
            if each is priority:
                own = group.count_by_tenant.get(tenant, 0)
                turns = (own + 1) * (len(group.count_by_tenant) + (own == 0)) - 1
                _accumulate(ahead, group.load, min(1.0, turns / max(1, group.load.requests)))
                return ahead
            _accumulate(ahead, group.load, 1.0)
        return ahead


def _accumulate(total: Load, part: Load, share: float) -> None:
    total.requests += round(part.requests * share)
    total.tokens += round(part.tokens * share)
    total.prefill_tokens += round(part.prefill_tokens * share)
    total.area_block_steps += round(part.area_block_steps * share)
    total.output_steps += round(part.output_steps * share)
