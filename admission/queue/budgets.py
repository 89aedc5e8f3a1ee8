"""What a tenant may take: tokens and requests per minute, and a share of the KV blocks.

A request counts from the moment it is taken in, accepted or into the queue, by its prompt and its
expected answer. Tokens are given back when it leaves the queue unserved, and corrected at its end.
"""

from dataclasses import dataclass
from typing import NamedTuple

from admission.price.footprint import EngineShape, Price
from admission.speed.engine_speed import EngineSpeed
from admission.terms import refusals
from admission.terms.decision import Rejected
from admission.terms.settings import Settings

_MINUTE_S = 60.0


class Bucket:
    """`per_minute` units flow in evenly and no more than a minute's worth is kept.

    It may go below zero: use that is discovered later is owed.
    """

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self._units = float(per_minute)
        self._at_s: float | None = None

    def left(self, now_s: float) -> float:
        """Units in it."""
        passed_s = 0.0 if self._at_s is None else max(0.0, now_s - self._at_s)
        self._at_s = now_s if self._at_s is None else max(self._at_s, now_s)
        flowed = self._units + passed_s * self.per_minute / _MINUTE_S
        self._units = min(float(self.per_minute), flowed)
        return self._units

    def take(self, units: float) -> None:
        """Take units out, or give them back if negative."""
        self._units -= units

    def wait_s(self, units: float, now_s: float) -> float:
        """Seconds until `units` may be taken; for more than it can hold, until it is full."""
        missing = min(units, self.per_minute) - self.left(now_s)
        return max(0.0, missing * _MINUTE_S / self.per_minute)


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left of a budget per minute; `full_in_s` seconds until it is whole again."""

    limit: int
    remaining: int
    full_in_s: float


class Standing(NamedTuple):
    """What is left of a tenant's budgets; None for one it does not have."""

    requests: Allowance | None
    tokens: Allowance | None


@dataclass(slots=True)
class _Taken:
    """What one tenant's requests, running and waiting, take together."""

    blocks: int = 0  # sum of their peaks
    area_block_steps: int = 0
    requests: Bucket | None = None
    tokens: Bucket | None = None


class Budgets:
    """Counts for every tenant, refuses for those that have budgets."""

    def __init__(self, engine: EngineShape, speed: EngineSpeed, settings: Settings) -> None:
        self._engine = engine
        self._speed = speed
        self._tenants: dict[str, _Taken] = {}
        self._settings = settings

    def reconfigure(self, settings: Settings) -> None:
        """Other terms from now on: a budget that changed starts whole, one that did not goes on."""
        self._settings = settings
        for tenant, taken in self._tenants.items():
            self._set_buckets(tenant, taken)

    def _set_buckets(self, tenant: str, taken: _Taken) -> None:
        terms = self._settings.terms_of(tenant)
        taken.requests = _bucket(terms.requests_per_minute, taken.requests)
        taken.tokens = _bucket(terms.tokens_per_minute, taken.tokens)

    def _taken(self, tenant: str) -> _Taken:
        taken = self._tenants.get(tenant)
        if taken is None:
            taken = self._tenants[tenant] = _Taken()
            self._set_buckets(tenant, taken)
        return taken

    # -- refusing --------------------------------------------------------------------------

    def spent(self, tenant: str, now_s: float) -> Rejected | None:
        """The refusal of any request of the tenant now, known before its tokens are counted."""
        return self._rates(tenant, 1, now_s)

    def refusal(self, tenant: str, price: Price, now_s: float) -> Rejected | None:
        """The refusal of a request that is beyond the tenant's budgets, or None."""
        return self._rates(tenant, tokens_of(price), now_s) or self._kv_share(tenant, price)

    def _rates(self, tenant: str, tokens: int, now_s: float) -> Rejected | None:
        taken = self._taken(tenant)
        for bucket, units, name in (
            (taken.requests, 1, "requests"),
            (taken.tokens, tokens, "tokens"),
        ):
            wait_s = bucket.wait_s(units, now_s) if bucket else 0.0
            if bucket and wait_s > 0:
                left = int(max(0.0, bucket.left(now_s)))
                return refusals.over_rate(name, bucket.per_minute, left, units, wait_s=wait_s)
        return None

    def _kv_share(self, tenant: str, price: Price) -> Rejected | None:
        share_blocks = self.share_blocks(tenant)
        if share_blocks is None:
            return None
        taken, needed = self._taken(tenant), price.blocks_peak
        if taken.blocks + needed <= share_blocks:
            return None
        size = self._engine.block_tokens
        if needed > share_blocks:
            return refusals.above_share(needed * size, share_blocks * size)
        # those inside pass through the share at its size; room comes after a part of them
        through_s = self._speed.waiting_s(taken.area_block_steps / share_blocks)
        over_ratio = (taken.blocks + needed - share_blocks) / taken.blocks
        held, share = taken.blocks * size, share_blocks * size
        return refusals.over_share(held, needed * size, share, wait_s=through_s * over_ratio)

    def share_blocks(self, tenant: str) -> int | None:
        """Blocks that the tenant's requests may take together; None where it has no such bound."""
        ratio = self._settings.terms_of(tenant).kv_share_ratio
        return None if ratio is None else max(1, int(self._engine.usable_blocks * ratio))

    # -- counting --------------------------------------------------------------------------

    def take_in(self, tenant: str, price: Price) -> None:
        """A request was accepted or joined the queue."""
        taken = self._taken(tenant)
        if taken.requests:
            taken.requests.take(1)
        self._count(taken, price, 1)
        self.correct(tenant, tokens_of(price))

    def let_go(self, tenant: str, price: Price) -> None:
        """A request that was taken in has ended or left."""
        self._count(self._taken(tenant), price, -1)

    def reprice(self, tenant: str, before: Price, after: Price) -> None:
        """Replace the price of a request that was taken in."""
        taken = self._taken(tenant)
        self._count(taken, before, -1)
        self._count(taken, after, 1)
        self.correct(tenant, tokens_of(after) - tokens_of(before))

    def correct(self, tenant: str, tokens: int) -> None:
        """Count `tokens` more for the tenant; negative where it used less."""
        bucket = self._taken(tenant).tokens
        if bucket:
            bucket.take(tokens)

    @staticmethod
    def _count(taken: _Taken, price: Price, sign: int) -> None:
        taken.blocks += sign * price.blocks_peak
        taken.area_block_steps += sign * price.area_block_steps

    # -- readings --------------------------------------------------------------------------

    def blocks(self, tenant: str) -> int:
        """Blocks that the tenant's running and waiting requests will take at their peaks."""
        return self._taken(tenant).blocks

    def standing(self, tenant: str, now_s: float) -> Standing | None:
        """What is left of the tenant's budgets per minute; None where it has none."""
        if not self._settings.terms_of(tenant).has_rates:
            return None
        taken = self._taken(tenant)
        return Standing(_allowance(taken.requests, now_s), _allowance(taken.tokens, now_s))


def tokens_of(price: Price) -> int:
    """Tokens that a request is charged when it is taken in: its prompts and expected answers."""
    return price.prompt_tokens + price.sequence_steps


def _bucket(per_minute: int | None, present: Bucket | None) -> Bucket | None:
    """For a budget as it is now: the present one where that has not changed, else a whole one."""
    if per_minute is None:
        return None
    return present if present and present.per_minute == per_minute else Bucket(per_minute)


def _allowance(bucket: Bucket | None, now_s: float) -> Allowance | None:
    if bucket is None:
        return None
    left = bucket.left(now_s)
    full_in_s = bucket.wait_s(bucket.per_minute, now_s)
    return Allowance(bucket.per_minute, int(max(0.0, left)), full_in_s)
