"""What ops may see of admission: its state, and why a request is priced as it is. JSON values."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, replace
from typing import Any

from admission.controller import Controller
from admission.price.footprint import RequestShape
from admission.price.offer import Offer, Quote
from admission.terms.decision import Accepted, Decision, Limit, Queued
from serve.visit import Visit

_TENANTS_SHOWN = 100  # bounds the answer; the rest is summed up under "others"


def state(controller: Controller, visits: Iterable[Visit], *, now_s: float) -> dict[str, Any]:
    """Budgets, leases by tenant, the queue."""
    engine, ledger, settings = controller.engine, controller.ledger, controller.settings
    load = controller.queue.load
    return {
        "mode": settings.mode,
        "policy": settings.policy,
        "draining": controller.draining,
        "engine_down": controller.engine_down,
        "engine_hung": controller.heartbeat.hung,
        "engine_silent_s": round(controller.heartbeat.silent_s, 1),
        "binding_limit": controller.binding,
        "engine": asdict(engine) | {"capacity_tokens": engine.capacity_tokens},
        "kv": {
            "capacity_blocks": engine.usable_blocks,
            "held_blocks": ledger.held_blocks,
            "free_blocks": ledger.free_blocks,
            "projected_peak_blocks": ledger.curve.peak(),
            "held_tokens": ledger.held_blocks * engine.block_tokens,
            "promised_limit_blocks": controller.headroom.block_limit,
            "promised_ratio": controller.margin.promised_ratio,
            "lost_to_preemptions_ratio": controller.margin.lost_ratio,
            "bias_ratio": controller.margin.bias_ratio,
        },
        "sequences": {"held": ledger.sequences, "limit": controller.headroom.slot_limit},
        "prefill_backlog_tokens": ledger.backlog_tokens,
        "prefix_cache": {
            "foreseen_tokens": controller.prefixes.hits.foreseen_tokens,
            "found_tokens": controller.prefixes.hits.found_tokens,
            "believed_ratio": controller.prefixes.hits.ratio,
        },
        "leases": len(ledger.leases),
        "queue": {"requests": load.requests, "tokens": load.tokens},
        "tenants": _by_tenant(controller, visits, now_s),
        "engine_cost_measured": controller.accounts.cost.measured,
        "pace": {
            "step_s": controller.pace.step_s,
            "prefill_s_per_token": controller.pace.prefill_s_per_token,
            "first_token_error_s": controller.timing.first_tokens.error_s,
            "first_token_margin_s": controller.timing.first_tokens.margin_s,
        },
        "output_coverage": _coverage(controller),
        "engine_statistics": {
            "silent": controller.freshness.silent,
            "usage_missing": controller.freshness.usage_missing,
        },
        "settings": asdict(settings),
    }


def _coverage(controller: Controller) -> dict[str, Any]:
    coverage, quantile = controller.coverage, controller.settings.output_quantile
    return {
        "median": {"should_be": 0.5, "is": coverage.median.ratio},
        "price": {"should_be": quantile, "is": coverage.price.ratio},
        "alarm": coverage.alarm(quantile),
    }


def _by_tenant(controller: Controller, visits: Iterable[Visit], now_s: float) -> dict[str, Any]:
    rows: dict[str, dict[str, float]] = defaultdict(
        lambda: {"leases": 0, "held_blocks": 0, "oldest_s": 0.0, "waiting": 0}
    )
    ledger = controller.ledger
    for visit in visits:
        row = rows[visit.tenant.name]
        row["leases"] += 1
        row["oldest_s"] = max(row["oldest_s"], round(now_s - visit.arrived_at_s, 1))
        if visit.lease_id in ledger.leases:
            row["held_blocks"] += ledger.lease_blocks(ledger.leases[visit.lease_id])
    for ticket in controller.queue:
        rows[ticket.tenant]["waiting"] += 1
    ranked = sorted(rows.items(), key=lambda item: -item[1]["held_blocks"])
    shown: dict[str, Any] = {
        name: row | {"account": asdict(controller.accounts.view(name, now_s))}
        for name, row in ranked[:_TENANTS_SHOWN]
    }
    if len(ranked) > _TENANTS_SHOWN:
        shown["others"] = {
            key: sum(row[key] for _, row in ranked[_TENANTS_SHOWN:]) for key in ranked[0][1]
        }
    return shown


def explanation(controller: Controller, offer: Offer, now_s: float) -> dict[str, Any]:
    """Price, budgets and decision of an offer that is not made."""
    quote = controller.quote(offer)
    decision = controller.judge(offer, quote, now_s)
    budgets = controller.headroom.budgets(quote.price, offer.priority)
    short = [budget.limit for budget in budgets if not budget.fits]
    return {
        "decision": _decision(decision),
        "binding_limit": short[0] if short else None,
        "price": _price(quote),
        "budgets": [asdict(budget) for budget in budgets],
        "queue": {"requests": len(controller.queue)},
        "tenant": _tenant(controller, offer, now_s),
        "priority": _priority(controller, offer, quote),
        "shape": _shape(offer.shape),
        "mode": controller.settings.mode,
        "policy": controller.settings.policy,
    }


def _tenant(controller: Controller, offer: Offer, now_s: float) -> dict[str, Any]:
    account = controller.accounts.view(offer.tenant, now_s)
    return {
        "name": offer.tenant,
        "waiting": controller.queue.tenant_requests(offer.tenant),
    } | asdict(account)


def _priority(controller: Controller, offer: Offer, quote: Quote) -> dict[str, Any]:
    """The class, what is kept from it for higher ones, and whether that alone keeps it out."""
    headroom, price = controller.headroom, quote.price
    with_reserve = headroom.fit(price, offer.priority) is Limit.KV
    return {
        "class": offer.priority,
        "reserved_blocks": headroom.block_limit - headroom.block_limit_of(offer.priority),
        "reserve_binds": with_reserve and headroom.fit(price) is not Limit.KV,
    }


def _decision(decision: Decision) -> dict[str, Any]:
    if isinstance(decision, Accepted):
        return {"outcome": "accepted"}
    if isinstance(decision, Queued):
        return {"outcome": "queued"} | asdict(decision)
    return {"outcome": "rejected"} | asdict(decision)


def _shape(shape: RequestShape) -> dict[str, Any]:
    """Without the names of the prompts: they say nothing, and there are many."""
    prompts = [
        {"prompt_tokens": each.prompt_tokens, "max_tokens": each.max_tokens}
        for each in shape.prompts
    ]
    return asdict(replace(shape, prompts=())) | {"prompts": prompts}


def _price(quote: Quote) -> dict[str, Any]:
    price = quote.price
    return {
        "blocks_now": price.blocks_now,
        "blocks_peak": price.blocks_peak,
        "prompt_tokens": price.prompt_tokens,
        "cached_tokens": price.cached_tokens,
        "prefill_tokens": price.prefill_tokens,
        "predicted_output_tokens": price.output_tokens,
        "sequences": price.sequences,
        "predictions": [
            {
                "tokens": predicted.tokens,
                "median_tokens": predicted.median_tokens,
                "known_length": predicted.known,
                "samples": predicted.samples,
                "class": list(predicted.class_key),
            }
            for predicted in quote.predictions
        ],
    }
