"""The `admission:` section of a profile, which is also Serve's user_config: one model for both."""

import dataclasses
import hashlib
import json
import re
from typing import Any, ClassVar

from pydantic import ValidationInfo, field_validator

from admission.terms.settings import EVERYBODY_ELSE, Mode, Policy, Settings, TenantTerms
from serve.profile.keys import key, plain
from serve.profile.sections import NAME, Section, check_names

_DEFAULT = Settings()  # the one place where admission's defaults live
_TERMS = TenantTerms()
_TENANT = rf"{re.escape(EVERYBODY_ELSE)}|{NAME}(/{NAME})?"


class StaticSection(Section):
    """Settings of the policy `static` alone."""

    limit: int = key(
        _DEFAULT.static_limit,
        ge=1,
        le=65_536,
        what="Sequences at once under policy `static`; other policies ignore it",
        unit="sequences",
        why="a hand-tuned middle, the baseline to beat",
    )


class QueueSection(Section):
    """Bounds of the queue."""

    max_requests: int = key(
        _DEFAULT.queue_max_requests,
        ge=1,
        le=1_000_000,
        what="Requests that may wait, all tenants together",
        unit="requests",
        why="8 x A10 serve about 50 in 30 s: deadlines refuse first, this bounds memory",
        zero="0 is refused; for no queue at all set `queue.max_tokens: 0`",
    )
    max_requests_per_tenant: int = key(
        _DEFAULT.queue_max_requests_per_tenant,
        ge=1,
        le=1_000_000,
        what="Requests of one tenant that may wait; at most `max_requests`",
        unit="requests",
        why="one tenant leaves at least half the queue to others",
    )
    max_tokens: int = key(
        _DEFAULT.queue_max_tokens,
        ge=0,
        le=1_000_000_000_000,
        what="Prompt and predicted output tokens that may wait, all requests together",
        unit="tokens",
        why="about seven full caches of the 8 x A10 profile; bounds what long prompts can hold",
        zero="0: no request waits; what cannot start now is refused",
    )

    look_past_requests: int = key(
        _DEFAULT.queue_look_past_requests,
        ge=0,
        le=64,
        what="Requests behind the head of the queue that may start while it waits for KV alone: "
        "those that fit and do not move the start foreseen for it, in the first half of its time",
        unit="requests",
        why="uses what a large head leaves idle",
        zero="0: no request passes the head",
    )

    cost_weight: float = key(
        _DEFAULT.queue_cost_weight,
        ge=0,
        le=10,
        what="How far a request's deadline is pushed back, within its tenant's queue, per second "
        "of estimated engine time",
        unit="seconds per second",
        why="under overload more are served, short ones mostly; what takes 10 s is passed by those "
        "that come up to 5 s later",
        zero="0: by deadline alone",
    )

    @field_validator("max_requests_per_tenant")
    @classmethod
    def _within_the_queue(cls, given: int, info: ValidationInfo) -> int:
        bound = info.data.get("max_requests")  # absent when it is itself at fault
        if bound is not None and given > bound:
            raise ValueError(f"{given} is above max_requests ({bound}); give at most {bound}")
        return given


class TenantSection(Section):
    """Terms of one tenant."""

    weight: float = key(
        _TERMS.weight,
        ge=0.01,
        le=100,
        what="Share of the engine's time beside other tenants of its class, when they wait",
        unit="shares",
        why="all alike",
    )
    tokens_per_minute: int | None = key(
        _TERMS.tokens_per_minute,
        ge=1,
        le=1_000_000_000_000,
        what="Prompt and output tokens a minute; a minute's worth may come at once. Counted by the "
        "expected answer when a request is taken in, by the real one when it ends",
        unit="tokens",
        why="fair turns need no budgets; set them to sell or to cap",
        zero="null: no such budget",
    )
    requests_per_minute: int | None = key(
        _TERMS.requests_per_minute,
        ge=1,
        le=1_000_000_000,
        what="Requests taken in a minute; a minute's worth may come at once",
        unit="requests",
        why="as `tokens_per_minute`",
        zero="null: no such budget",
    )
    kv_share_ratio: float | None = key(
        _TERMS.kv_share_ratio,
        ge=0.001,
        le=1,
        what="Largest share of the KV blocks that the tenant's requests, running and waiting, may "
        "come to at their peaks",
        unit="ratio",
        why="fair turns order waiting requests; this bounds a tenant that found the cache empty",
        zero="null: no such bound",
    )


class AdmissionSection(Section):
    """Which requests start, wait or are refused. Changes without a restart."""

    renamed: ClassVar = {"line": "queue"}

    mode: Mode = key(
        _DEFAULT.mode,
        strict=False,
        what="`enforce` acts; `shadow` decides, records and lets all pass; `off` only counts",
        unit="name",
        why="the gateway exists to act; try new settings in `shadow`",
    )
    policy: Policy = key(
        _DEFAULT.policy,
        strict=False,
        what="How a request is priced: `footprint` by what it will probably hold, `worst_case` by "
        "prompt + max_tokens, `static` as one of `static.limit` places",
        unit="name",
        why="fills the cache without preemption; the other two are baselines",
    )
    static: StaticSection = StaticSection()
    kv_headroom_ratio: float = key(
        _DEFAULT.kv_headroom_ratio,
        ge=0,
        le=0.5,
        what="Share of the KV blocks that is never promised to anyone",
        unit="ratio",
        why="absorbs errors of the length forecast",
        zero="0: every block is promised; a forecast that is short preempts",
    )
    kv_overflow_sigmas: float = key(
        _DEFAULT.kv_overflow_sigmas,
        ge=0,
        le=10,
        what="Standard deviations of the KV blocks held at a later step that are promised beyond "
        "what is expected there, up to all that may still run",
        unit="sigmas",
        why="lengths are never quite as learned: at 3 half a point more were served and 9 of 9,300 "
        "requests preempted, at 4 none",
        zero="0: what is expected is promised; half the time more is held",
    )
    output_quantile: float = key(
        _DEFAULT.output_quantile,
        ge=0.5,
        le=0.999,
        what="Coverage of the predicted output length: this share of answers is no longer than "
        "its price, which counts in the queue and in budgets; KV is promised by the whole "
        "distribution",
        unit="ratio",
        why="nine of ten answers keep to it, so clients can rely on it",
    )
    cold_start_output_tokens: int = key(
        _DEFAULT.cold_start_output_tokens,
        ge=1,
        le=1_000_000,
        what="Predicted output length until a traffic class is known; never above the request's "
        "max_tokens",
        unit="tokens",
        why="98.8 to 100 % of the answers in the six traces studied are no longer",
    )
    cold_start_requests: int = key(
        _DEFAULT.cold_start_requests,
        ge=1,
        le=10_000,
        what="Finished requests of a class, or of its parents, until its own lengths are believed",
        unit="requests",
        why="a 0.9 quantile of 50 rests on its five longest",
    )
    ttft_deadline_s: float = key(
        _DEFAULT.ttft_deadline_s,
        ge=0.05,
        le=3600,
        what="How long a request may wait for its first token when it does not say so itself "
        "(`x-slo-ttft-ms`); a request that would predictably wait longer is refused at once",
        unit="seconds",
        why="load tools and agents wait that long; lower it to what your users were promised",
    )
    ttft_deadline_max_s: float = key(
        _DEFAULT.ttft_deadline_max_s,
        ge=0.05,
        le=3600,
        what="Cap on `x-slo-ttft-ms`; at least `ttft_deadline_s`",
        unit="seconds",
        why="proxies cut silent requests at 50 to 120 s",
    )
    ttft_grace_s: float = key(
        _DEFAULT.ttft_grace_s,
        ge=0,
        le=3600,
        what="How long after its deadline an accepted request may still get its first token; then "
        "it is aborted and answered 429 `ttft_slo`, or 503 while the engine is silent. Mode "
        "`enforce` only",
        unit="seconds",
        why="a late answer is better than none, but nothing waits without an end",
        zero="0: cut off at the deadline",
    )
    tpot_target_s: float | None = key(
        _DEFAULT.tpot_target_s,
        ge=0.001,
        le=60,
        what="Seconds that a token after the first may take, over a whole answer: a prompt starts "
        "when the answers that run keep this bound beside it",
        unit="seconds",
        why="no bound unless users were promised one; set it where prompts stall answers",
        zero="null: no such bound",
    )
    queue: QueueSection = QueueSection()
    prefill_backlog_max_tokens: int = key(
        _DEFAULT.prefill_backlog_max_tokens,
        ge=1,
        le=100_000_000,
        what="Prompt tokens of accepted requests that the engine has not computed yet; a longer "
        "prompt starts when nothing is ahead of it",
        unit="tokens",
        why="a few full steps of 2,048: the engine never idles and TTFT stays bounded",
    )

    priority_reserve_ratio: float = key(
        _DEFAULT.priority_reserve_ratio,
        ge=0,
        le=0.3,
        what="Share of the KV blocks kept free for each higher class: `normal` leaves it once, "
        "`low` twice",
        unit="ratio",
        why="idle where no higher class is used; 0.05 to 0.1 where `high` must start at once",
        zero="0: classes differ by their place in the queue alone",
    )
    tenants: dict[str, TenantSection] = key(
        {},
        what="Terms by tenant name; those of `*` hold for every tenant that is not named, each by "
        "itself",
        unit="map",
        why="all tenants alike, without budgets",
        allowed="tenant names as in the API keys, or `*`, each with keys below it",
    )

    @field_validator("tenants")
    @classmethod
    def _names_of_tenants(cls, given: dict[str, TenantSection]) -> dict[str, TenantSection]:
        check_names(given, of="tenant", pattern=_TENANT, others=", or '*' for everybody else")
        return given

    @field_validator("mode", mode="before")
    @classmethod
    def _off_is_a_mode(cls, given: Any) -> Any:
        """YAML 1.1 reads a bare `off` as false."""
        return Mode.OFF if given is False else given

    @field_validator("ttft_deadline_max_s")
    @classmethod
    def _at_least_the_default_deadline(cls, given: float, info: ValidationInfo) -> float:
        deadline = info.data.get("ttft_deadline_s")  # absent when it is itself at fault
        if deadline is not None and given < deadline:
            least = plain(deadline)
            raise ValueError(
                f"{plain(given)} is below ttft_deadline_s ({least}); give at least {least}"
            )
        return given

    def settings(self) -> Settings:
        """The same values as the pure core takes them."""
        flat = self.model_dump(exclude={"static", "queue", "tenants"})
        queue = self.queue.model_dump()
        return Settings(
            **flat,
            static_limit=self.static.limit,
            tenants={name: TenantTerms(**each.model_dump()) for name, each in self.tenants.items()},
            **{f"queue_{name}": value for name, value in queue.items()},
        )

    def mapping(self) -> dict[str, Any]:
        """Plain nested values, ready for YAML, JSON and Serve's user_config."""
        return self.model_dump(mode="json")

    def hash(self) -> str:
        """12 hex digits that name these settings; equal settings, however written, are equal."""
        values = json.dumps(dataclasses.asdict(self.settings()), sort_keys=True)
        return hashlib.sha256(values.encode()).hexdigest()[:12]
