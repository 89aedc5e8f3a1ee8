"""The values that steer admission; the profile's `admission:` section is validated into these."""

from dataclasses import dataclass
from enum import StrEnum


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
class Settings:
    """One frozen value, passed whole. The reason for each default stands beside it."""

    mode: Mode = Mode.ENFORCE
    policy: Policy = Policy.FOOTPRINT
    static_limit: int = 48  # sequences at once under policy `static`; a hand-tuned middle
    kv_headroom_ratio: float = 0.02  # share of the blocks never promised: errors of the forecast
    output_quantile: float = 0.9  # coverage of the predicted output length, per request
    cold_start_output_tokens: int = 1024  # price of an answer until a class is known
    cold_start_requests: int = 50  # finished requests until a class (or its parent) is believed
    ttft_deadline_s: float = 30.0  # how long a request may wait for its first token
    ttft_deadline_max_s: float = 120.0  # cap on x-slo-ttft-ms; proxies cut silent requests later
    line_max_requests: int = 1024  # bound of the line, all tenants together
    line_max_requests_per_tenant: int = 512  # one tenant leaves at least half the line to others
    line_max_tokens: int = 4_000_000  # bound of the line in prompt + predicted output tokens
    prefill_backlog_max_tokens: int = 8192  # accepted prompts not yet computed: a few full steps
