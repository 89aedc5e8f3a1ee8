"""Mode shadow at work: what each request would have been told is kept until it ends."""

from dataclasses import dataclass

from admission.exchange import Answer
from admission.terms.decision import Accepted, Outcome, Queued, Rejected
from admission.terms.settings import Mode, Settings
from admission.terms.shadow import Seen, ShadowReport, in_time
from serve.observability.metric_table import (
    SHADOW_FALSE_REFUSALS,
    SHADOW_MISSED_REFUSALS,
    SHADOW_REQUESTS,
    SHADOW_WOULD_REFUSE,
)
from serve.observability.metrics import Metrics
from serve.visit import Visit

_WHOLE = ("stop", "length")  # endings of answers that nobody cut


@dataclass(frozen=True, slots=True)
class _Opinion:
    traffic_class: str
    would: Outcome
    reason: str | None
    tpot_target_s: float | None


class ShadowWatch:
    """`report` counts since the settings in force came; the metrics since the start."""

    def __init__(self, metrics: Metrics) -> None:
        self.report = ShadowReport()
        self._metrics = metrics
        self._open: dict[Visit, _Opinion] = {}

    def decided(self, visit: Visit, answer: Answer, settings: Settings) -> None:
        """An offer was answered; of interest where it passes whatever was thought of it."""
        if settings.mode is not Mode.SHADOW or not isinstance(answer.decision, Accepted):
            return
        would, outcome, reason = answer.would, Outcome.ACCEPTED, None
        if isinstance(would, Rejected):
            outcome, reason = Outcome.REJECTED, str(would.reason)
        elif isinstance(would, Queued):
            outcome = Outcome.QUEUED
        name = "/".join(str(part) for part in answer.quote.keys[0][0])
        self._open[visit] = _Opinion(name, outcome, reason, settings.tpot_target_s)

    def ended(self, visit: Visit) -> None:
        """The request is over."""
        opinion = self._open.pop(visit, None)
        if opinion is None:
            return
        kept = None
        if visit.finish in _WHOLE:
            kept = in_time(
                visit.ttft_s,
                visit.tpot_s,
                deadline_s=visit.deadline_s,
                tpot_target_s=opinion.tpot_target_s,
            )
        seen = Seen(opinion.traffic_class, opinion.would, opinion.reason, kept)
        self._count(seen)
        self.report.note(seen)

    def _count(self, seen: Seen) -> None:
        metrics = self._metrics
        metrics.count(SHADOW_REQUESTS, seen.would)
        if seen.reason is not None:
            metrics.count(SHADOW_WOULD_REFUSE, seen.reason)
        metrics.count(SHADOW_FALSE_REFUSALS, by=seen.false_refusal)
        metrics.count(SHADOW_MISSED_REFUSALS, by=seen.missed_refusal)

    def begin_anew(self) -> None:
        """Other settings hold: who was judged by the old ones is not counted under them."""
        self.report = ShadowReport()
        self._open.clear()
