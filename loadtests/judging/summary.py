"""A set of records in a few numbers; every rate is per modelled second."""

from collections.abc import Sequence
from dataclasses import dataclass

from admission.slo import Slo
from loadtests.judging.percentiles import percentile
from loadtests.judging.verdict import is_good
from loadtests.record import Outcome, Record

_SHARES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
_MEASURES = ("ttft_s", "tpot_s", "itl_p95_s", "e2e_s", "queued_s")


@dataclass(frozen=True, slots=True)
class Summary:
    """Counts by outcome, `held` = answered after time in the line, and percentiles by measure."""

    offered: int
    outcomes: dict[str, int]
    held: int
    reasons: dict[str, int]  # of what was refused or failed
    output_tokens_per_s: float
    finished_per_s: float  # answered
    ended_per_s: float  # however they ended
    goodput_ratio: float  # both bounds met, over all offered; 1 where nothing was offered
    percentiles: dict[str, dict[str, float]]


def summarize(
    records: Sequence[Record],
    slo: Slo,
    seconds: float,
    *,
    ended: Sequence[Record] | None = None,
) -> Summary:
    """Of records that lie within so many seconds.

    Rates are of all that `ended` in them, also of what began before: of what begins in a window
    the last is still going on at its end. None = the records themselves.
    """
    ended = records if ended is None else ended
    answered = [each for each in records if each.outcome is Outcome.ANSWERED]
    good = sum(is_good(each, slo) for each in records)
    tokens = sum(each.output_tokens for each in ended)
    finished = sum(each.outcome is Outcome.ANSWERED for each in ended)
    return Summary(
        offered=len(records),
        outcomes={outcome: sum(r.outcome is outcome for r in records) for outcome in Outcome},
        held=sum((each.queued_s or 0.0) > 0 for each in answered),
        reasons=_reasons(records),
        output_tokens_per_s=tokens / seconds if seconds > 0 else 0.0,
        finished_per_s=finished / seconds if seconds > 0 else 0.0,
        ended_per_s=len(ended) / seconds if seconds > 0 else 0.0,
        goodput_ratio=good / len(records) if records else 1.0,
        percentiles={name: found for name in _MEASURES if (found := _measured(records, name))},
    )


def _measured(records: Sequence[Record], name: str) -> dict[str, float]:
    values = [value for each in records if (value := getattr(each, name)) is not None]
    return {p: percentile(values, share) for p, share in _SHARES.items()} if values else {}


def _reasons(records: Sequence[Record]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for each in records:
        if each.reason is not None:
            counts[each.reason] = counts.get(each.reason, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: -item[1]))
