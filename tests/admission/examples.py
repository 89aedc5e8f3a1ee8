"""Engines, settings and offers that the admission tests share."""

from dataclasses import replace
from typing import Any

import numpy as np

from admission.controller import Controller
from admission.exchange import Answer, StepRecord
from admission.ledger.ledger import Ledger
from admission.price.footprint import EngineShape, PromptShape, RequestShape
from admission.price.offer import Offer
from admission.price.survival import RecentLengths, Survival
from admission.terms.decision import Accepted, Priority, Queued, Rejected
from admission.terms.settings import Settings

# 100 blocks of 16 tokens, four slots: small enough to count on one's fingers
ENGINE = EngineShape(
    usable_blocks=100,
    block_tokens=16,
    max_sequences=4,
    max_model_len=1600,
    max_batched_tokens=512,
    prefix_caching=True,
)
EXACT = Settings(kv_headroom_ratio=0.0)
FOREVER_S = 1e9
UNBOUNDED = {
    "queue_max_requests": 10**6,
    "queue_max_requests_per_tenant": 10**6,
    "queue_max_tokens": 10**9,
}


def engine(**changes: Any) -> EngineShape:
    """ENGINE with some facts changed."""
    return replace(ENGINE, **changes)


def shape(prompt_tokens: int = 160, max_tokens: int = 160, **changes: Any) -> RequestShape:
    """One prompt; the length of the answer is known unless `ignore_eos=False`."""
    known = {"ignore_eos": True} | changes
    return RequestShape((PromptShape(prompt_tokens, max_tokens),), **known)


def offer(
    request: RequestShape | None = None,
    *,
    tenant: str = "a",
    priority: Priority = Priority.NORMAL,
    arrived_at_s: float = 0.0,
    patience_s: float = FOREVER_S,
) -> Offer:
    """An offer that waits for ever by default."""
    return Offer(tenant, priority, request or shape(), arrived_at_s, arrived_at_s + patience_s)


def accepted(answer: Answer) -> int:
    """The lease of an accepted offer."""
    assert isinstance(answer.decision, Accepted), answer.decision
    return answer.decision.lease_id


def queued(answer: Answer) -> int:
    """The ticket of a queued offer."""
    assert isinstance(answer.decision, Queued), answer.decision
    assert answer.ticket_id is not None
    return answer.ticket_id


def refused(answer: Answer) -> Rejected:
    """The refusal of a rejected offer."""
    assert isinstance(answer.decision, Rejected), answer.decision
    return answer.decision


def record(tokens: dict[int, int], **fields: Any) -> StepRecord:
    """A step record from row -> tokens generated so far."""
    return StepRecord(
        rows=np.array(list(tokens), dtype=np.int64),
        generated=np.array(list(tokens.values()), dtype=np.int64),
        **fields,
    )


def warm(controller: Controller, *, step_s: float = 0.1) -> None:
    """Teach the pace: `step_s` per step, a millisecond per prompt token beyond it."""
    for _ in range(40):
        controller.speed.pace.observe(elapsed_s=step_s, steps=1, prefill_tokens=0, decode_tokens=1)
    for _ in range(40):
        controller.speed.pace.observe(
            elapsed_s=step_s + 0.1, steps=1, prefill_tokens=100, decode_tokens=1
        )
    for _ in range(1000):
        controller.speed.pace.observe(elapsed_s=step_s, steps=1, prefill_tokens=0, decode_tokens=1)


def is_empty(ledger: Ledger) -> bool:
    """Nothing is held, promised or remembered."""
    return (
        not ledger.leases
        and ledger.held_blocks == ledger.backlog_tokens == ledger.sequences == 0
        and ledger.free_blocks == ledger.engine.usable_blocks
        and ledger.curve.peak() == 0
        and ledger.curve.coming().steps_until_sequences(0, for_steps=1000) == 0
        and not ledger._owner
        and not ledger._promises
        and not ledger._outlooks
        and not ledger._to_prefill
    )


def seen(*lengths: int, cut: bool = False) -> Survival:
    """The curve of a class with just these."""
    recent = RecentLengths()
    for tokens in lengths:
        recent.add(tokens, cut=cut)
    return recent.survival
