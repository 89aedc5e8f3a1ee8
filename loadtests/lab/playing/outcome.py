"""The outcome of one request of a trace."""

from dataclasses import dataclass
from typing import Any

from loadtests.lab.playing.door import Bounds
from loadtests.lab.playing.workload import TraceRequest


@dataclass(slots=True)
class PlayedOutcome:
    """One request's outcome so far; instants are virtual seconds, None until they occur.

    `ended_at_s` stays None if the run stops earlier; such a request can no longer meet its bounds.
    """

    request: TraceRequest
    refusal: str | None = None
    accepted_at_s: float | None = None
    first_at_s: float | None = None
    ended_at_s: float | None = None
    unfinished: int = 0  # sequences in the engine
    output_tokens: int = 0
    preemptions: int = 0

    @property
    def ttft_s(self) -> float | None:
        """Seconds from arrival to the first token; None before it."""
        return None if self.first_at_s is None else self.first_at_s - self.request.arrived_at_s

    @property
    def tpot_s(self) -> float | None:
        """Seconds per token after the first; None for one token, or before the end."""
        if self.first_at_s is None or self.ended_at_s is None or self.output_tokens <= 1:
            return None
        return (self.ended_at_s - self.first_at_s) / (self.output_tokens - 1)

    def good(self, bounds: Bounds) -> bool:
        """Whether the request completed within both bounds."""
        if self.ended_at_s is None or self.ttft_s is None:
            return False
        return self.ttft_s <= bounds.ttft_s and (self.tpot_s or 0.0) <= bounds.tpot_s

    def decided(self, bounds: Bounds, now_s: float) -> bool:
        """Whether `good` can no longer change."""
        if self.refusal is not None or self.ended_at_s is not None:
            return True
        first_s = now_s if self.first_at_s is None else self.first_at_s
        return first_s - self.request.arrived_at_s > bounds.ttft_s

    def as_json(self, bounds: Bounds) -> dict[str, Any]:
        """Plain values with stable keys."""
        asked = self.request
        return {
            "number": asked.number,
            "arrived_at_s": asked.arrived_at_s,
            "tenant": asked.tenant,
            "prompt_tokens": asked.prompt_tokens,
            "output_tokens": self.output_tokens,
            "outcome": "accepted" if self.refusal is None else "rejected",
            "reason": self.refusal,
            "accepted_at_s": self.accepted_at_s,
            "ttft_s": self.ttft_s,
            "tpot_s": self.tpot_s,
            "preemptions": self.preemptions,
            "complete": self.ended_at_s is not None,
            "in_slo": self.good(bounds),
        }
