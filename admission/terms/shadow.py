"""What mode shadow would have decided, compared with how the requests really ended.

The engine also serves requests that would have been refused, and these slow the others. So a missed
refusal means a late completion, not necessarily a wrong decision.
"""

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from admission.terms.decision import Outcome

_CLASSES_MAX = 64  # reported separately; bounds the reply and the memory
OTHERS = "others"  # all further classes together


@dataclass(frozen=True, slots=True)
class Seen:
    """One request after its end; `in_time` is None where its client left or it failed."""

    traffic_class: str
    would: Outcome
    reason: str | None
    in_time: bool | None

    @property
    def false_refusal(self) -> bool:
        """It would have been refused, and was served in time."""
        return self.would is Outcome.REJECTED and self.in_time is True

    @property
    def missed_refusal(self) -> bool:
        """It would have been accepted at once, and was not served in time."""
        return self.would is Outcome.ACCEPTED and self.in_time is False


@dataclass(slots=True)
class Counts:
    """`unjudged` are those of `requests` whose end does not say whether they were in time."""

    requests: int = 0
    would_refuse: int = 0
    would_queue: int = 0
    false_refusals: int = 0
    missed_refusals: int = 0
    unjudged: int = 0

    def note(self, seen: Seen) -> None:
        """Counts one request."""
        self.requests += 1
        self.would_refuse += seen.would is Outcome.REJECTED
        self.would_queue += seen.would is Outcome.QUEUED
        self.false_refusals += seen.false_refusal
        self.missed_refusals += seen.missed_refusal
        self.unjudged += seen.in_time is None


class ShadowReport:
    """Counts over all, by reason and by traffic class; further classes are summed as `others`."""

    def __init__(self) -> None:
        self.total = Counts()
        self.reasons: Counter[str] = Counter()
        self.classes: dict[str, Counts] = {}

    def note(self, seen: Seen) -> None:
        """Counts one request."""
        self.total.note(seen)
        if seen.reason is not None:
            self.reasons[seen.reason] += 1
        known = seen.traffic_class in self.classes or len(self.classes) < _CLASSES_MAX
        name = seen.traffic_class if known else OTHERS
        self.classes.setdefault(name, Counts()).note(seen)

    def as_json(self) -> dict[str, Any]:
        """Plain values with stable keys."""
        return asdict(self.total) | {
            "would_refuse_by_reason": dict(self.reasons.most_common()),
            "classes": {name: asdict(counts) for name, counts in self.classes.items()},
        }


def in_time(
    ttft_s: float | None, tpot_s: float | None, *, deadline_s: float, tpot_target_s: float | None
) -> bool:
    """Whether an answer that came kept its deadline and, where there is one, its TPOT target."""
    if ttft_s is None or ttft_s > deadline_s:
        return False
    return tpot_target_s is None or (tpot_s or 0.0) <= tpot_target_s
