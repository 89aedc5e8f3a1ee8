"""The context of one HTTP request in the gateway, shared by all adapters."""

from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import StrEnum

from admission.terms.decision import Priority, Rejected


class ApiFamily(StrEnum):
    """The API whose error shape and stream events a route uses."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"


@dataclass(frozen=True, slots=True)
class Tenant:
    """The tenant of an API key; `admin` may read the state and drain."""

    name: str
    priority: Priority = Priority.NORMAL
    admin: bool = False


@dataclass(slots=True, eq=False)
class Visit:
    """Mutable record of one request; created by the edge before vLLM's app is called.

    The render hook writes `verdict` (a refusal) or lets the gate write `lease_id`; the engine
    client adds every engine request it starts to `engine_ids`; the edge reads all of it at the
    end. Instants are the gate's clock in modelled seconds.
    """

    request_id: str
    tenant: Tenant
    route: str  # path, e.g. "/v1/chat/completions"
    family: ApiFamily
    deadline_s: float  # from arrival to the first token
    arrived_at_s: float
    run: str | None = None  # x-sluice-run of load tests
    verdict: Rejected | None = None
    lease_id: int | None = None
    more_lease_ids: list[int] = field(default_factory=list)  # of later turns of the same answer
    queued_s: float = 0.0
    engine_ids: list[str] = field(default_factory=list)
    client_left: bool = False
    released: bool = False
    first_byte_at_s: float | None = None
    status: int | None = None
    # facts for the logs, filled in by the gate
    accepted_at_s: float | None = None
    prompt_tokens: int | None = None
    predicted_tokens: tuple[int, ...] = ()  # by prompt, when priced
    output_tokens: int | None = None
    finish: str | None = None
    prefill_s: float | None = None  # from acceptance to the first token, as the engine saw it
    tpot_s: float | None = None
    preemptions: int = 0

    @property
    def due_at_s(self) -> float:
        """When its first token is due."""
        return self.arrived_at_s + self.deadline_s

    @property
    def ttft_s(self) -> float | None:
        """From arrival to the first token; None while there is none."""
        if self.accepted_at_s is None or self.prefill_s is None:
            return None
        return self.accepted_at_s - self.arrived_at_s + self.prefill_s


VISIT: ContextVar[Visit | None] = ContextVar("sluice_visit", default=None)
REQUEST_ID: ContextVar[str | None] = ContextVar("sluice_request_id", default=None)  # for the log
