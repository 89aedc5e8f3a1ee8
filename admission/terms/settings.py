"""The values that steer admission; the profile's `admission:` section is validated into these."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

EVERYBODY_ELSE = "*"  # names the terms of tenants that are not named; no tenant can be called so


class Mode(StrEnum):
    """`enforce` acts; `shadow` decides, records and lets everything pass; `off` only counts."""

    ENFORCE = "enforce"
    SHADOW = "shadow"
    OFF = "off"


class Policy(StrEnum):
    """How a request is priced: projected footprint, prompt + max_tokens, or one of N places."""

    FOOTPRINT = "footprint"
    WORST_CASE = "worst_case"
    STATIC = "static"


@dataclass(frozen=True, slots=True)
class TenantTerms:
    """What one tenant may take. A budget that is None does not exist."""

    weight: float = 1.0  # share of the engine's time beside others that wait: all alike
    tokens_per_minute: int | None = None
    requests_per_minute: int | None = None
    kv_share_ratio: float | None = (
        None  # of the blocks, for its running and waiting requests together
    )

    @property
    def has_rates(self) -> bool:
        """Whether the tenant has a budget per minute."""
        return self.tokens_per_minute is not None or self.requests_per_minute is not None


_PLAIN = TenantTerms()


@dataclass(frozen=True, slots=True)
class Settings:
    """One frozen value, passed whole, with the reason beside each default."""

    mode: Mode = Mode.ENFORCE
    policy: Policy = Policy.FOOTPRINT
    static_limit: int = 48  # sequences at once under policy `static`; a hand-tuned middle
    kv_headroom_ratio: float = 0.02  # share of the blocks never promised: errors of the forecast
    kv_overflow_sigmas: float = 4.0  # beyond the expected blocks; at 3 a few answers preempt
    output_quantile: float = 0.9  # coverage of the predicted output length, per request
    cold_start_output_tokens: int = 1024  # price of an answer until a class is known
    cold_start_requests: int = 50  # finished requests until a class (or its parent) is believed
    ttft_deadline_s: float = 30.0  # how long a request may wait for its first token
    ttft_deadline_max_s: float = 120.0  # cap on x-slo-ttft-ms; proxies cut silent requests later
    ttft_grace_s: float = 30.0  # late is better than never, but nothing waits without an end
    tpot_target_s: float | None = None  # no bound unless users were promised one
    queue_max_requests: int = 1024  # bound of the queue, all tenants together
    queue_max_requests_per_tenant: int = 512  # one tenant leaves at least half the queue to others
    queue_max_tokens: int = 4_000_000  # bound of the queue in prompt + predicted output tokens
    queue_look_past_requests: int = (
        8  # tried behind a head that waits for KV: a step's worth of work
    )
    queue_cost_weight: float = 0.5  # a short prompt passes long ones, but not for long
    prefill_backlog_max_tokens: int = 8192  # accepted prompts not yet computed: a few full steps
    priority_reserve_ratio: float = (
        0.0  # blocks kept for each higher class: idle where none is used
    )
    tenants: Mapping[str, TenantTerms] = field(default_factory=dict)  # by name

    def terms_of(self, tenant: str) -> TenantTerms:
        """A tenant's own terms, else those under `*`, else the defaults."""
        return self.tenants.get(tenant) or self.tenants.get(EVERYBODY_ELSE) or _PLAIN
