"""The model's constants fitted anew to part of the logs, to see how much the fit is worth."""

import dataclasses
import statistics

from admission.planning.memory.activation import sampler_bytes
from admission.planning.memory.constants import MEASURED, Constants
from admission.planning.memory.engine.versions import Version
from admission.planning.memory.estimate import GIB
from tests.admission.planning.memory_cases import Case, Error, cases, error_from_scratch

_SAMPLER_RULES = ("sorting_sampler", "triton_sampler")


def held_out_errors() -> list[Error]:
    """Errors from scratch of stated rows, each with constants fitted to ids of other parity."""
    rows = [c for c in cases() if c.states_what_decides]
    halves = [[c for c in rows if int(c.id[1:]) % 2 == parity] for parity in (0, 1)]
    errors: list[Error] = []
    for fitted_to, tried_on in (halves, halves[::-1]):
        constants = fitted(fitted_to)
        errors += [e for c in tried_on if (e := error_from_scratch(c, constants))]
    return errors


def fitted(rows: list[Case]) -> Constants:
    """Medians over `rows`: bytes per logit of both samplers, and non-torch memory by rule.

    The forward pass keeps its figures: they decide too few rows here to be fitted again.
    """
    changes: dict[str, float] = {}
    for name in _SAMPLER_RULES:
        values = [v for row in rows if (v := _bytes_per_logit(row, name)) is not None]
        if values:
            changes[name] = statistics.median(values)
    by_rule: dict[str, list[float]] = {}
    for row in rows:
        if row.figures["non_torch_gib"] and (rule := _non_torch_rule(row)):
            by_rule.setdefault(rule, []).append(float(row.figures["non_torch_gib"]))
    changes |= {rule: statistics.median(values) for rule, values in by_rule.items()}
    return dataclasses.replace(MEASURED, **changes)


def _bytes_per_logit(row: Case, rule: str) -> float | None:
    """(logged peak - 2 T H) / (N V) where the sampler of `rule` decides the peak."""
    peak = row.figures["activation_peak_gib"]
    if not peak or "/" in peak:
        return None
    plan = row.plan()
    engine, model = plan.engine, plan.model
    dense = model.layout_class == "dense" and engine.given.dtype != "float32"
    if not dense or sampler_bytes(model, engine) != (getattr(MEASURED, rule),) * 3:
        return None
    logits = engine.max_sequences * model.vocabulary
    forward_decides = plan.budget.activation.expected > 1.02 * (
        getattr(MEASURED, rule) * logits + 2 * engine.max_batched_tokens * model.hidden
    )
    if forward_decides:
        return None
    return (float(peak) * GIB - 2 * engine.max_batched_tokens * model.hidden) / logits


def _non_torch_rule(row: Case) -> str | None:
    """Which constant the row's logged non-torch memory is a sample of."""
    engine = row.plan().engine
    if engine.version < Version(11, 0) or engine.pp > 1:
        return None
    later = engine.version >= Version(18, 0)
    if engine.tp == 1:
        return "late_non_torch_gib" if later else "early_non_torch_gib"
    return "fused_non_torch_gib" if later else "nvlink_non_torch_gib"
