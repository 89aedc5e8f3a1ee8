"""Sequences whose end is known here before the engine has freed them: aborts, stop strings.

A step record counts only if the engine made it after the end was known here: several older ones
may be on their way when this process lags behind the engine.
"""

from dataclasses import dataclass

_IDLE_S = 1.0  # an idle engine sends no records: it has freed what was aborted by then


@dataclass(slots=True)
class _Row:
    added_at_s: float
    records: int  # still to come


class Lingering:
    """Rows about to be freed: after some step records, or after a second without any.

    A row that is freed otherwise stays here until then; to free it twice changes nothing.
    """

    def __init__(self) -> None:
        self._rows: dict[int, _Row] = {}
        self._last_record_at_s = float("-inf")

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, row: int, now_s: float, *, records: int) -> None:
        """Free `row` with the `records`-th record from now; a row already here keeps its time."""
        self._rows.setdefault(row, _Row(now_s, records))

    def count_record(self, now_s: float, *, age_s: float = 0.0) -> None:
        """A step record came that the engine made `age_s` ago."""
        self._last_record_at_s = now_s
        for row in self._rows.values():
            row.records -= row.added_at_s <= now_s - age_s

    def due(self, now_s: float) -> list[int]:
        """Rows that are free by now; they are taken out."""
        if not self._rows:
            return []
        silent_since_s = self._last_record_at_s
        due = [
            number
            for number, row in self._rows.items()
            if row.records <= 0 or now_s - max(row.added_at_s, silent_since_s) >= _IDLE_S
        ]
        for number in due:
            del self._rows[number]
        return due
