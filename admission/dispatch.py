"""Moves requests from the queue into the engine, backfills past the head, and expires deadlines."""

from collections.abc import Callable
from dataclasses import dataclass

from admission.exchange import Turn
from admission.gates.headroom import Headroom
from admission.ledger.claim import Claim
from admission.price.footprint import Price
from admission.price.offer import Offer, Quote
from admission.queue.accounts import Accounts
from admission.queue.waiting import RISES_AT_RATIO, QueueLoad, Ticket, WaitingQueue, risen
from admission.terms import refusals
from admission.terms.decision import Accepted, Limit, Rejected
from admission.terms.settings import Mode, Policy, Settings

_TURNS_PER_PASS = 64  # bounds one pass over the queue; the next event continues

Grant = Callable[[Offer, Quote, Claim | None, Price, float], int]
Lessons = tuple[int, int]  # versions of the learned lengths and of the cached prefixes


@dataclass(slots=True, eq=False)
class _Waiting:
    offer: Offer
    quote: Quote
    lessons: Lessons  # versions by which it was priced
    limit: Limit


class Dispatcher:
    """The waiting requests with their offers; `grant` opens a lease for one that may start."""

    def __init__(
        self,
        queue: WaitingQueue,
        headroom: Headroom,
        accounts: Accounts,
        *,
        lessons: Callable[[], Lessons],
        quote: Callable[[Offer], Quote],
        grant: Grant,
    ) -> None:
        self._queue = queue
        self._headroom = headroom
        self._accounts = accounts
        self._lessons = lessons
        self._quote = quote
        self._grant = grant
        self._waiting: dict[int, _Waiting] = {}  # by ticket
        self._next_ticket = 1
        self.binding: Limit | None = None  # what bound the last decision that had to wait

    def turn_at_s(self, offer: Offer, price: Price) -> float:
        """Sort key within the tenant's queue."""
        return self._queue.turn_at_s(offer.deadline_at_s, self._accounts.cost.seconds(price.work))

    def join(self, offer: Offer, quote: Quote, limit: Limit) -> int:
        """Queue a request that `limit` keeps out; returns its ticket."""
        ticket_id = self._next_ticket
        self._next_ticket += 1
        self._queue.add(
            Ticket(
                ticket_id,
                offer.tenant,
                offer.priority,
                quote.price,
                self.turn_at_s(offer, quote.price),
                offer.deadline_at_s,
                offer.arrived_at_s,
            )
        )
        self._waiting[ticket_id] = _Waiting(offer, quote, self._lessons(), limit)
        self.binding = limit
        return ticket_id

    def leave(self, ticket_id: int) -> None:
        """Remove the request of a client that left; a ticket that has had its turn is ignored."""
        ticket = self._queue.remove(ticket_id)
        if ticket:
            del self._waiting[ticket_id]
            self._accounts.strike_out(ticket.tenant, ticket.price)

    def limit_of(self, ticket: Ticket) -> Limit:
        """The limit that kept it out when it was last tried."""
        return self._waiting[ticket.ticket_id].limit

    def close(self, refusal: Rejected) -> list[Turn]:
        """Refuse every waiting request."""
        return [self._refuse(ticket, refusal) for ticket in list(self._queue)]

    def expire(self, now_s: float, refusal: Rejected | None = None) -> list[Turn]:
        """Refuse requests past their deadline, with `refusal` or by what kept them waiting."""
        turns: list[Turn] = []
        while len(turns) < _TURNS_PER_PASS:
            late = self._queue.expired(now_s)
            if late is None:
                break
            turns.append(self._refuse(late, refusal or self._expiry(late)))
        return turns

    def move(self, settings: Settings, now_s: float) -> list[Turn]:
        """Refuse requests past their deadline; accept heads while they fit."""
        turns = self.expire(now_s)
        head = self._queue.head(now_s)
        while head and len(turns) < _TURNS_PER_PASS:
            turn = self._turn(head, settings, now_s)
            if turn is None:
                turns += self._backfill(head, settings, now_s)
                break
            turns.append(turn)
            head = self._queue.head(now_s)
        return turns

    def _turn(self, head: Ticket, settings: Settings, now_s: float) -> Turn | None:
        """Accept or refuse the head; None if it waits on, with the limit noted."""
        price, enforcing = self._priced_now(head).quote.price, settings.mode is Mode.ENFORCE
        needed_s = self._headroom.first_token_s(price, now_s)
        allowed_s = head.expires_at_s - now_s
        if enforcing and needed_s > allowed_s:
            limit = self.limit_of(head)
            refusal = refusals.too_long(limit, needed_s=needed_s, allowed_s=allowed_s)
            return self._refuse(head, refusal)
        waited_ratio = head.waited_ratio(now_s)
        fit = self._headroom.fit(price, risen(head, now_s), waited_ratio=waited_ratio)
        if not isinstance(fit, Limit):
            return self._let_in(head, fit, now_s)
        if not enforcing:
            return self._let_in(head, None, now_s)
        self._waiting[head.ticket_id].limit = self.binding = fit
        return None

    def _backfill(self, head: Ticket, settings: Settings, now_s: float) -> list[Turn]:
        """Backfill: accept requests behind a head that waits for KV alone, if they do not delay it.

        The head's start is predicted by the ledger. Predictions err, so the head is passed only in
        the first half of its time to the deadline.
        """
        count, waiting = settings.queue_look_past_requests, self._waiting[head.ticket_id]
        only_kv = waiting.limit is Limit.KV and settings.policy is not Policy.STATIC
        if not (count and only_kv) or head.waited_ratio(now_s) >= RISES_AT_RATIO:
            return []
        price, priority = waiting.quote.price, risen(head, now_s)
        start_steps = self._headroom.start_steps(price, priority)
        turns = []
        for ticket in self._queue.behind(head, count):
            claim = self._headroom.fit_before(
                self._priced_now(ticket).quote.price,
                ticket.priority,
                head=price,
                of=priority,
                start_steps=start_steps,
            )
            if claim is not None:
                turns.append(self._let_in(ticket, claim, now_s))
        return turns

    def _priced_now(self, ticket: Ticket) -> _Waiting:
        """The waiting request, priced anew if lengths or cached prefixes have changed since."""
        waiting, lessons = self._waiting[ticket.ticket_id], self._lessons()
        if waiting.lessons != lessons:
            waiting.quote, waiting.lessons = self._quote(waiting.offer), lessons
        return waiting

    def _let_in(self, ticket: Ticket, claim: Claim | None, now_s: float) -> Turn:
        self._queue.remove(ticket.ticket_id)
        waiting = self._waiting.pop(ticket.ticket_id)
        lease_id = self._grant(waiting.offer, waiting.quote, claim, ticket.price, now_s)
        return Turn(ticket.ticket_id, Accepted(lease_id), waiting.quote)

    def _refuse(self, ticket: Ticket, refusal: Rejected) -> Turn:
        self._queue.remove(ticket.ticket_id)
        self._accounts.strike_out(ticket.tenant, ticket.price)
        return Turn(ticket.ticket_id, refusal, self._waiting.pop(ticket.ticket_id).quote)

    def _expiry(self, ticket: Ticket) -> Rejected:
        waiting = self._waiting[ticket.ticket_id]
        allowed_s = waiting.offer.deadline_at_s - waiting.offer.arrived_at_s
        more_s, _ = self._headroom.wait(ticket.price, QueueLoad(), waiting.limit, ticket.priority)
        return refusals.too_long(waiting.limit, needed_s=allowed_s + more_s, allowed_s=allowed_s)
