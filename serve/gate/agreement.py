"""How well the ledger agrees with the engine, record by record; shown in the state and in tests."""

from dataclasses import dataclass
from typing import Any

from admission.ledger.comparison import Comparison

_SLACK_RATIO = 1.15  # the ledger may be this much above the engine, and one block per sequence


@dataclass(slots=True)
class Agreement:
    """Running extremes of ledger blocks against the engine's own count, and use of the cache."""

    records: int = 0
    below_records: int = 0
    worst_below_blocks: int = 0
    worst_above_blocks: float = 0.0  # beyond 15 % + one block per sequence; <= 0 is within
    worst_above_at: tuple[int, int, int] = (0, 0, 0)  # ledger, engine, sequences
    waiting_records: int = 0
    _used_while_waiting: float = 0.0

    def note(self, seen: Comparison, *, waiting: bool) -> None:
        """Ledger and engine were compared at one step record; `waiting`: requests are queued."""
        first = not self.records
        self.records += 1
        if seen.missing_blocks > 0:
            self.below_records += 1
            self.worst_below_blocks = max(self.worst_below_blocks, seen.missing_blocks)
        above = seen.held_blocks - _SLACK_RATIO * seen.used_blocks - seen.sequences
        if first or above > self.worst_above_blocks:
            self.worst_above_blocks = above
            self.worst_above_at = (seen.held_blocks, seen.used_blocks, seen.sequences)
        if waiting:
            self.waiting_records += 1
            self._used_while_waiting += seen.used_ratio

    def as_json(self) -> dict[str, Any]:
        """For the admission state."""
        waited = self.waiting_records
        return {
            "records": self.records,
            "below_records": self.below_records,
            "worst_below_blocks": self.worst_below_blocks,
            "worst_above_blocks": round(self.worst_above_blocks, 1),
            "worst_above_at": dict(
                zip(("held", "used", "sequences"), self.worst_above_at, strict=True)
            ),
            "waiting_records": waited,
            "kv_used_mean_while_waiting": (
                round(self._used_while_waiting / waited, 4) if waited else None
            ),
        }
