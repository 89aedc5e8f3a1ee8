"""The constants of the memory model that come from measurements, not from vLLM's rules.

Each has a physical meaning. There are few of them, so that a report can refit them on half of the
logs and test them on the other half.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Constants:
    """Bytes per number unless the name says GiB. [log] = read off logs, [fit] = fitted to them."""

    sorting_sampler: float = 38.4  # per logit: torch sorts in 32 bits, indexes in 64 [fit]
    triton_sampler: float = 14.8  # per logit: the kernel without a sort, from 0.17 [fit]
    flashinfer_sampler: float = 8.0  # per logit: logits and probabilities in 32 bits [0.10.1 logs]
    fp32_logits: float = 12.0  # per logit: the warm-up of 0.33 [one log]
    plain_logits: float = 2.0  # per logit: 16 bits, no sampler: runner V2 [vLLM's source]
    column: float = 6.0  # per token and feed-forward column of a rank [fit]
    hidden: float = 8.4  # per token and hidden column [fit]
    received: float = 4.0  # per token and hidden column that a pipeline stage receives [log]
    early_non_torch_gib: float = 0.13  # TP 1, 0.11 to 0.17 [log]
    late_non_torch_gib: float = 0.25  # TP 1, from 0.18 [log]
    nvlink_non_torch_gib: float = 0.54  # TP > 1 over NVLink without the fused all-reduce [log]
    fused_non_torch_gib: float = 2.07  # TP > 1, fused all-reduce: Hopper, from 0.18 [log]
    cold_cache_gib: float = 1.0  # a start with an empty torch.compile cache [log]


MEASURED = Constants()
