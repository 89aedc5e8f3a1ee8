"""The decision record: what was known when a request was decided on, and how it ended.

Plain dicts, ready for one JSON object a line; never a word of a prompt. Writing them is serve's.
"""

from dataclasses import asdict, dataclass
from typing import Any

from admission.price.offer import Offer, Quote
from admission.snapshot import DecisionContext
from admission.terms.decision import Accepted, Decision, Outcome, Priority, Rejected

_VERSION = 1


@dataclass(frozen=True, slots=True)
class Occasion:
    """When and where a decision was taken: `at_s` is wall time, `mono_s` the controller's."""

    at_s: float
    mono_s: float
    request_id: str
    route: str
    config_hash: str


@dataclass(frozen=True, slots=True)
class Ending:
    """How an accepted request ended; instants it never reached are None."""

    request_id: str
    waited_s: float
    ttft_s: float | None
    tpot_s: float | None
    output_tokens: int | None
    finish: str | None
    preemptions: int


def decision_record(
    occasion: Occasion, offer: Offer, quote: Quote, decision: Decision, context: DecisionContext
) -> dict[str, Any]:
    """One decision: of an offer at once, or of a waiting one when its turn came.

    Tokens are sums over the prompts of the body; `q90` is the quantile it is priced by. Every line
    names the engine, too: a log that was cut anywhere still says what it was decided for.
    """
    shape, predictions = offer.shape, quote.predictions
    return {
        "v": _VERSION,
        "at": occasion.at_s,
        "mono_s": occasion.mono_s,
        "id": occasion.request_id,
        "tenant": offer.tenant,
        "priority": str(offer.priority),
        "route": occasion.route,
        "prompt_tokens": shape.prompt_tokens,
        "cached_tokens": quote.price.cached_tokens,
        "prompts": len(shape.prompts),
        "sequences": shape.total_sequences,
        "max_tokens": sum(prompt.max_tokens for prompt in shape.prompts),
        "known_length": all(predicted.known for predicted in predictions),
        "deadline_s": offer.deadline_at_s - offer.arrived_at_s,
        "tpot_target_s": context.settings.tpot_target_s,
        "class": "/".join(str(part) for part in predictions[0].class_key),
        "predicted": {
            "q50": sum(predicted.median_tokens for predicted in predictions),
            "q90": sum(predicted.tokens for predicted in predictions),
        },
        "price_blocks": {"now": quote.price.blocks_now, "peak": quote.price.blocks_peak},
        "state": _state(context),
        "account": _account(context, offer.priority),
        "engine": asdict(context.engine),
        "mode": str(context.settings.mode),
        **_verdict(decision),
        "config_hash": occasion.config_hash,
    }


def _state(context: DecisionContext) -> dict[str, int]:
    occupancy = context.occupancy
    return {
        "running": occupancy.sequences,
        "queue": occupancy.queue_requests,
        "held_blocks": occupancy.held_blocks,
        "peak_blocks": occupancy.projected_peak_blocks,
        "prefill_backlog_tokens": occupancy.prefill_backlog_tokens,
    }


def _account(context: DecisionContext, priority: Priority) -> dict[str, float | int | None]:
    """The tenant's account after the decision: its counter in seconds, what its budgets leave."""
    account = context.account
    requests, tokens = account.requests, account.tokens
    return {
        "counter_s": account.counter_s[priority],
        "kv_blocks": account.kv_blocks,
        "requests_left": requests.remaining if requests else None,
        "tokens_left": tokens.remaining if tokens else None,
        "reserved_blocks": context.reserved_blocks,
    }


def _verdict(decision: Decision) -> dict[str, str | None]:
    if isinstance(decision, Accepted):
        return {"outcome": str(Outcome.ACCEPTED), "reason": None, "limit": None}
    limit = str(decision.limit) if decision.limit else None
    if isinstance(decision, Rejected):
        reason = str(decision.reason)
        return {"outcome": str(Outcome.REJECTED), "reason": reason, "limit": limit}
    return {"outcome": str(Outcome.QUEUED), "reason": None, "limit": limit}


def end_record(ending: Ending) -> dict[str, Any]:
    """The end of a request whose decision was recorded under the same id."""
    fields = asdict(ending)
    return {"v": _VERSION, "id": fields.pop("request_id"), **fields}
