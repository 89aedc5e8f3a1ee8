"""Judges an SLO: each term, all together, and which fails first."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from admission.terms.slo import Slo
from loadtests.judging.confidence import DESIGN_EFFECT, wilson
from loadtests.judging.percentiles import percentile
from loadtests.record import Outcome, Record

_HEARD = (Outcome.ANSWERED, Outcome.CANCELLED)


class Metric(StrEnum):
    """The measures that an SLO can bound."""

    TTFT = "ttft"
    TPOT = "tpot"
    SUCCESS = "success"


@dataclass(frozen=True, slots=True)
class Check:
    """One term of an SLO compared with the measured value.

    `value` is the percentile that the term names (seconds), or the share that succeeded; None if
    nothing could be measured, which counts as missed. `strain` is 1 at the bound and grows with the
    load, so that terms can be compared: percentile / bound, or failed share / allowed share.
    """

    metric: Metric
    bound: float
    needed_ratio: float
    kept: int
    of: int
    value: float | None
    strain: float

    @property
    def met(self) -> bool:
        """Whether enough requests kept the bound."""
        return self.of > 0 and self.kept >= self.needed_ratio * self.of - _EDGE

    @property
    def surely_missed(self) -> bool:
        """Whether the term is missed with 97.5 % confidence, so that more requests cannot help."""
        return wilson(self.kept / DESIGN_EFFECT, self.of / DESIGN_EFFECT)[1] < self.needed_ratio


@dataclass(frozen=True, slots=True)
class Verdict:
    """The checks of all terms of an SLO."""

    checks: tuple[Check, ...]

    @property
    def met(self) -> bool:
        """Whether every term is met; true for an SLO without terms."""
        return all(check.met for check in self.checks)

    @property
    def surely_missed(self) -> bool:
        """Whether some term is surely missed."""
        return any(check.surely_missed for check in self.checks)

    @property
    def worst(self) -> Check | None:
        """The term with the highest strain, which fails first."""
        return max(self.checks, key=lambda check: (not check.met, check.strain), default=None)


def judge(records: Sequence[Record], slo: Slo) -> Verdict:
    """The SLO's verdict on these records.

    TTFT: all requests that were not refused; one whose client gave up before the first token counts
    as beyond any bound. TPOT: answers of at least two tokens. Success: status 200 and complete,
    over all requests but those whose client chose to leave; a refusal is a failure.
    """
    return Verdict(tuple(_checks(records, slo)))


def is_good(record: Record, slo: Slo) -> bool:
    """Whether both bounds were met; goodput is the share of such requests over all offered."""
    if record.outcome not in _HEARD or record.ttft_s is None:
        return False
    return record.ttft_s <= slo.ttft_s and (record.tpot_s or 0.0) <= slo.tpot_s


def _checks(records: Sequence[Record], slo: Slo) -> Iterator[Check]:
    if slo.ttft_s < math.inf:
        yield _latency(Metric.TTFT, _ttfts(records), slo.ttft_s, slo.ttft_share)
    if slo.tpot_s < math.inf:
        tpots = [each.tpot_s for each in records if each.tpot_s is not None]
        yield _latency(Metric.TPOT, tpots, slo.tpot_s, slo.tpot_share)
    if slo.success_ratio > 0:
        yield _success(records, slo.success_ratio)


def _ttfts(records: Sequence[Record]) -> list[float]:
    gave_up = [math.inf for each in records if each.outcome is Outcome.TIMED_OUT]
    return gave_up + [each.ttft_s for each in records if each.ttft_s is not None]


def _latency(metric: Metric, values: Sequence[float], bound_s: float, needed: float) -> Check:
    kept = sum(value <= bound_s for value in values)
    value = percentile(values, needed) if values else None
    strain = math.inf if value is None else value / bound_s
    return Check(metric, bound_s, needed, kept, len(values), value, strain)


def _success(records: Sequence[Record], needed: float) -> Check:
    outcomes = [each.outcome for each in records if each.outcome is not Outcome.CANCELLED]
    kept, of = outcomes.count(Outcome.ANSWERED), len(outcomes)
    failed = 1 - kept / of if of else 1.0
    allowed = max(1 - needed, 1 / of if of else 1.0)  # at 100 % one failure is too many
    value = kept / of if of else None
    return Check(Metric.SUCCESS, needed, needed, kept, of, value, failed / allowed)


_EDGE = 1e-9  # 0.95 * 20 is 19.000000000000004 in binary
