"""Summarises the outcomes of one run as a row: requests served in time, of all offered."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from loadtests.judging.percentiles import percentile
from loadtests.lab.playing.door import Bounds
from loadtests.lab.playing.outcome import PlayedOutcome
from loadtests.lab.playing.play import Played
from loadtests.lab.playing.workload import TraceWorkload

_SIZES = 4  # buckets with equal numbers of offered requests
_TENANT_LEAST = 5  # offered requests; fewer say nothing about a tenant


@dataclass(frozen=True, slots=True)
class PolicyRow:
    """One policy on one workload. Shares are 0-1; None if there is nothing to divide by."""

    policy: str
    n: int | None
    offered: int
    offered_per_s: float
    goodput_per_s: float
    share_of_offered: float
    share_of_accepted_in_slo: float | None
    refused: int
    preemptions: int
    kv_used_mean: float
    ttft_p95_s: float | None
    tpot_p95_s: float | None
    acceptance_by_size: tuple[tuple[int, float, float], ...]  # (up to tokens, accepted, in SLO)
    jain_tenants: float | None
    reasons: dict[str, int]

    def as_json(self) -> dict[str, Any]:
        """Plain values with stable keys."""
        keys = ("up_to_tokens", "accepted", "in_slo")
        values = {name: getattr(self, name) for name in self.__slots__}
        values["acceptance_by_size"] = [
            dict(zip(keys, each, strict=True)) for each in self.acceptance_by_size
        ]
        return values


def counted(workload: TraceWorkload, played: Played) -> Sequence[PlayedOutcome]:
    """The outcomes of the counted requests."""
    return played.outcomes[workload.counted.start : workload.counted.stop]


def row(
    policy: str, n: int | None, workload: TraceWorkload, played: Played, bounds: Bounds
) -> PolicyRow:
    """The summary of one run."""
    outcomes = counted(workload, played)
    good = sum(each.good(bounds) for each in outcomes)
    refused = Counter(each.refusal for each in outcomes if each.refusal is not None)
    accepted = len(outcomes) - refused.total()
    span_s = workload.span_s
    return PolicyRow(
        policy=policy,
        n=n,
        offered=len(outcomes),
        offered_per_s=len(outcomes) / span_s,
        goodput_per_s=good / span_s,
        share_of_offered=good / len(outcomes),
        share_of_accepted_in_slo=good / accepted if accepted else None,
        refused=refused.total(),
        preemptions=played.preemptions,
        kv_used_mean=played.kv_used_mean,
        ttft_p95_s=_p95([each.ttft_s for each in outcomes]),
        tpot_p95_s=_p95([each.tpot_s for each in outcomes]),
        acceptance_by_size=_by_size(outcomes, bounds),
        jain_tenants=_jain(outcomes, bounds),
        reasons=dict(refused.most_common()),
    )


def _p95(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return percentile(known, 0.95) if known else None


def _by_size(
    outcomes: Sequence[PlayedOutcome], bounds: Bounds
) -> tuple[tuple[int, float, float], ...]:
    """Buckets by prompt plus answer, each with the same number of requests."""
    ordered = sorted(outcomes, key=_size)
    parts = [part.tolist() for part in np.array_split(np.arange(len(ordered)), _SIZES) if part.size]
    buckets = []
    for part in parts:
        bucket = [ordered[place] for place in part]
        accepted = sum(each.refusal is None for each in bucket) / len(bucket)
        in_slo = sum(each.good(bounds) for each in bucket) / len(bucket)
        buckets.append((_size(bucket[-1]), accepted, in_slo))
    return tuple(buckets)


def _size(outcome: PlayedOutcome) -> int:
    asked = outcome.request
    return asked.prompt_tokens + min(asked.output_tokens, asked.max_tokens)


def _jain(outcomes: Sequence[PlayedOutcome], bounds: Bounds) -> float | None:
    """Jain's index of the tenants' shares in SLO: 1 if all are equal, 1/n if one has all."""
    offered = Counter(each.request.tenant for each in outcomes)
    good = Counter(each.request.tenant for each in outcomes if each.good(bounds))
    shares = np.array([good[t] / count for t, count in offered.items() if count >= _TENANT_LEAST])
    if shares.size < 2 or not shares.any():  # noqa: PLR2004 - one tenant is no comparison
        return None
    return float(shares.sum() ** 2 / (shares.size * (shares**2).sum()))
