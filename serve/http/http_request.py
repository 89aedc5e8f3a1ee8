"""One HTTP request as the edge knows it, from its first header to its line in the access log."""

from dataclasses import dataclass, field
from typing import Any

from admission.terms.decision import Rejected
from serve.http.allow import Route
from serve.visit import ApiFamily, Tenant, Visit

CLIENT_LEFT_STATUS = 499  # no answer was sent: nginx's code, for logs only
STRANGER = Tenant("-")  # until the key is known, and on routes that ask for none


@dataclass(slots=True, eq=False)
class HttpRequest:
    """Filled in on the way; `visit` exists only on generation routes."""

    request_id: str
    method: str
    path: str
    family: ApiFamily
    headers: dict[str, str]  # by lower-case name
    arrived_at_s: float
    route: Route | None = None
    tenant: Tenant = STRANGER
    visit: Visit | None = None
    status: int | None = None  # as sent; None before that
    body: dict[str, Any] = field(default_factory=dict)  # as vLLM's app got it

    @property
    def charged(self) -> Tenant:
        """The tenant whose budgets pay: that of the key, or the one that a rule gives."""
        return self.tenant if self.visit is None else self.visit.tenant

    @property
    def verdict(self) -> Rejected | None:
        """The refusal, if there is one."""
        return None if self.visit is None else self.visit.verdict

    @property
    def queued_ms(self) -> float:
        """Time in the queue, in modelled milliseconds."""
        return 0.0 if self.visit is None else self.visit.queued_s * 1000
