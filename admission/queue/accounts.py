"""Accounts of the tenants: the service each has had, and what each may still use.

A request is entered when it is accepted or queued, charged its predicted cost when it is accepted,
and settled at its real cost when its lease is released, however it ended.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from admission.ledger.used import Used
from admission.price.footprint import EngineShape, Price
from admission.queue.budgets import Allowance, Budgets, tokens_of
from admission.queue.cost import EngineCost
from admission.queue.waiting import WaitingQueue
from admission.speed.engine_speed import EngineSpeed
from admission.terms.decision import Priority, Rejected
from admission.terms.settings import Settings


@dataclass(frozen=True, slots=True)
class TenantView:
    """A tenant as operators see it; `counter_s` is engine seconds / weight, by class."""

    weight: float
    counter_s: Mapping[Priority, float]
    kv_blocks: int
    kv_share_blocks: int | None
    requests: Allowance | None
    tokens: Allowance | None


class _Charge(NamedTuple):
    tenant: str
    priority: Priority
    price: Price
    seconds: float


class Accounts:
    """Enters, charges and settles; the queue keeps the counters, the budgets what is left."""

    def __init__(
        self, engine: EngineShape, queue: WaitingQueue, speed: EngineSpeed, settings: Settings
    ) -> None:
        self.cost = EngineCost(engine, speed.pace)
        self.budgets = Budgets(engine, speed, settings)
        self._queue = queue
        self._settings = settings
        self._charges: dict[int, _Charge] = {}  # by lease

    def reconfigure(self, settings: Settings) -> None:
        """Other weights and budgets from now on."""
        self._settings = settings
        self.budgets.reconfigure(settings)
        self._queue.reconfigure(settings)

    def refusal(self, tenant: str, price: Price, now_s: float) -> Rejected | None:
        """The refusal of a request that is beyond its tenant's budgets, or None."""
        return self.budgets.refusal(tenant, price, now_s)

    def enter(self, tenant: str, price: Price) -> None:
        """Count a request that was accepted or queued."""
        self.budgets.take_in(tenant, price)

    def strike_out(self, tenant: str, price: Price) -> None:
        """A request left the queue unserved; `price` is that of `enter`."""
        self.budgets.let_go(tenant, price)
        self.budgets.correct(tenant, -tokens_of(price))

    def charge(
        self, lease_id: int, tenant: str, priority: Priority, price: Price, *, entered: Price
    ) -> None:
        """A request entered at one price was accepted at another, in the class of its turn."""
        if price is not entered:
            self.budgets.reprice(tenant, entered, price)
        seconds = self.cost.seconds(price.work)
        self._charges[lease_id] = _Charge(tenant, priority, price, seconds)
        self._queue.charge(tenant, priority, seconds)

    def settle(self, lease_id: int, used: Used) -> None:
        """Correct the charge of a released lease; called once per lease."""
        charge = self._charges.pop(lease_id)
        seconds = self.cost.seconds(used.work) - charge.seconds
        self._queue.correct(charge.tenant, charge.priority, seconds)
        self.budgets.let_go(charge.tenant, charge.price)
        self.budgets.correct(charge.tenant, used.tokens - tokens_of(charge.price))

    def view(self, tenant: str, now_s: float) -> TenantView:
        """The account of a tenant."""
        standing = self.budgets.standing(tenant, now_s)
        return TenantView(
            weight=self._settings.terms_of(tenant).weight,
            counter_s={p: self._queue.counter_s(tenant, p) for p in Priority},
            kv_blocks=self.budgets.blocks(tenant),
            kv_share_blocks=self.budgets.share_blocks(tenant),
            requests=standing.requests if standing else None,
            tokens=standing.tokens if standing else None,
        )
