"""What ops may see of admission: its state, and why a request is priced as it is. JSON values."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, replace
from typing import Any

from admission.controller import Controller
from admission.price.footprint import RequestShape
from admission.price.offer import Offer, Quote
from admission.snapshot import CoverageReading, Explanation, Limits, Occupancy, Snapshot
from admission.terms.decision import Accepted, Decision, Queued
from serve.visit import Visit

_TENANTS_SHOWN = 100  # bounds the answer; the rest is summed up under "others"


def state(controller: Controller, visits: Iterable[Visit], *, now_s: float) -> dict[str, Any]:
    """Budgets, leases by tenant, the queue."""
    seen = controller.snapshot()
    engine, occupancy, signs, speed = seen.engine, seen.occupancy, seen.signs, seen.speed
    return {
        "mode": seen.settings.mode,
        "policy": seen.settings.policy,
        "draining": seen.draining,
        "engine_down": signs.down,
        "engine_hung": signs.hung,
        "engine_silent_s": round(signs.silent_s, 1),
        "binding_limit": seen.binding,
        "engine": asdict(engine) | {"capacity_tokens": engine.capacity_tokens},
        "kv": _kv(seen, occupancy, seen.limits),
        "sequences": {"held": occupancy.sequences, "limit": seen.limits.sequences},
        "prefill_backlog_tokens": occupancy.prefill_backlog_tokens,
        "prefix_cache": asdict(seen.cache),
        "leases": occupancy.leases,
        "queue": {"requests": occupancy.queue_requests, "tokens": occupancy.queue_tokens},
        "tenants": _by_tenant(controller, visits, now_s),
        "engine_cost_measured": speed.cost_measured,
        "pace": {
            "step_s": speed.step_s,
            "prefill_s_per_token": speed.prefill_s_per_token,
            "first_token_error_s": speed.first_token_error_s,
            "first_token_margin_s": speed.first_token_margin_s,
        },
        "output_coverage": _coverage(seen.coverage),
        "engine_statistics": {
            "silent": signs.steps_missing,
            "usage_missing": signs.usage_missing,
        },
        "settings": asdict(seen.settings),
    }


def _kv(seen: Snapshot, occupancy: Occupancy, limits: Limits) -> dict[str, Any]:
    return {
        "capacity_blocks": seen.engine.usable_blocks,
        "held_blocks": occupancy.held_blocks,
        "free_blocks": limits.free_blocks,
        "projected_peak_blocks": occupancy.projected_peak_blocks,
        "held_tokens": occupancy.held_blocks * seen.engine.block_tokens,
        "promised_limit_blocks": limits.promised_blocks,
        "promised_ratio": limits.promised_ratio,
        "lost_to_preemptions_ratio": limits.lost_to_preemptions_ratio,
        "bias_ratio": limits.bias_ratio,
    }


def _coverage(coverage: CoverageReading) -> dict[str, Any]:
    return {
        "median": {"should_be": 0.5, "is": coverage.median_ratio},
        "price": {"should_be": coverage.price_quantile, "is": coverage.price_ratio},
        "alarm": coverage.alarm,
    }


def _by_tenant(controller: Controller, visits: Iterable[Visit], now_s: float) -> dict[str, Any]:
    rows: dict[str, dict[str, float]] = defaultdict(
        lambda: {"leases": 0, "held_blocks": 0, "oldest_s": 0.0, "waiting": 0}
    )
    for visit in visits:
        row = rows[visit.tenant.name]
        row["leases"] += 1
        row["oldest_s"] = max(row["oldest_s"], round(now_s - visit.arrived_at_s, 1))
        row["held_blocks"] += controller.blocks_held_by(visit.lease_id)
    for tenant, requests in controller.waiting_by_tenant().items():
        rows[tenant]["waiting"] += requests
    ranked = sorted(rows.items(), key=lambda item: -item[1]["held_blocks"])
    shown: dict[str, Any] = {
        name: row | {"account": asdict(controller.account(name, now_s))}
        for name, row in ranked[:_TENANTS_SHOWN]
    }
    if len(ranked) > _TENANTS_SHOWN:
        shown["others"] = {
            key: sum(row[key] for _, row in ranked[_TENANTS_SHOWN:]) for key in ranked[0][1]
        }
    return shown


def explanation(controller: Controller, offer: Offer, now_s: float) -> dict[str, Any]:
    """Price, budgets and decision of an offer that is not made."""
    told = controller.explain(offer, now_s)
    short = [budget.limit for budget in told.budgets if not budget.fits]
    settings = told.context.settings
    return {
        "decision": _decision(told.decision),
        "binding_limit": short[0] if short else None,
        "price": _price(told.quote),
        "budgets": [asdict(budget) for budget in told.budgets],
        "queue": {"requests": told.context.occupancy.queue_requests},
        "tenant": {"name": offer.tenant, "waiting": told.tenant_waiting}
        | asdict(told.context.account),
        "priority": _priority(offer, told),
        "shape": _shape(offer.shape),
        "mode": settings.mode,
        "policy": settings.policy,
    }


def _priority(offer: Offer, told: Explanation) -> dict[str, Any]:
    """The class, what is reserved for higher ones, and whether only that keeps it out."""
    return {
        "class": offer.priority,
        "reserved_blocks": told.context.reserved_blocks,
        "reserve_binds": told.reserve_binds,
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
