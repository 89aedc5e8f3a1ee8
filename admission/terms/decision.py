"""The closed set of answers admission gives; the names are metric labels and error codes too."""

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """What became of one offered request."""

    ACCEPTED = "accepted"
    QUEUED = "queued"
    REJECTED = "rejected"
    ABANDONED = "abandoned"


class Reason(StrEnum):
    """Why a request was refused; `serve/http/problems.py` gives each its HTTP status."""

    KV_CAPACITY = "kv_capacity"
    SLOTS = "slots"
    TTFT_SLO = "ttft_slo"
    TPOT_SLO = "tpot_slo"
    QUEUE_FULL = "queue_full"
    TENANT_BUDGET = "tenant_budget"
    NEVER_FITS = "never_fits"
    UNSUPPORTED = "unsupported"
    DRAINING = "draining"
    ENGINE_DOWN = "engine_down"


class Limit(StrEnum):
    """Which resource of the engine binds."""

    KV = "kv"
    SLOTS = "slots"
    PREFILL = "prefill"
    DECODE = "decode"


class Priority(StrEnum):
    """Priority classes in the order they are served; members are declared first to last."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


@dataclass(frozen=True, slots=True)
class Accepted:
    """The request holds its place in the ledger from this moment; `lease_id` names it."""

    lease_id: int


@dataclass(frozen=True, slots=True)
class Queued:
    """The request waits in the queue.

    `position` counts from 1 in policy order at the time of the answer; `predicted_wait_s` is the
    estimate until acceptance; `limit` is the resource that blocks the head of the queue.
    """

    position: int
    predicted_wait_s: float
    limit: Limit


@dataclass(frozen=True, slots=True)
class Rejected:
    """A refusal as a value; the HTTP edge turns it into a status.

    `message` is written for the client's user. `retry_after_s` is the predicted time until room
    is free, without jitter, or None where coming back does not help. `param` names the body's
    field at fault, where there is one.
    """

    reason: Reason
    message: str
    limit: Limit | None = None
    retry_after_s: float | None = None
    param: str | None = None


Decision = Accepted | Queued | Rejected
