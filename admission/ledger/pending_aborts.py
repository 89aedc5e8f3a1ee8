"""Sequences whose end is known here before the engine has freed them: aborts, stop strings.

An engine that *confirms ends* says when it has heard of them: a row is free with the second step
record that the engine made after that. Of one that does not, a few more records are waited for.
"""

from dataclasses import dataclass

_RECORDS_ONCE_HEARD = 2  # clocks are read once per turn of the event loop: one might be older
_IDLE_S = 1.0  # an idle engine sends no records: it has freed what it heard of by then


@dataclass(slots=True)
class _Row:
    since_s: float  # records that the engine made later count
    records: int  # still to come
    heard: bool
    seen: int = 0  # records that came meanwhile


class PendingAborts:
    """Rows about to be freed: after some step records, or after a second without any.

    A row that is freed otherwise stays here until then; to free it twice changes nothing.
    """

    def __init__(self) -> None:
        self.confirms_ends = False
        self._rows: dict[int, _Row] = {}
        self._last_record_at_s = float("-inf")

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def unheard(self) -> bool:
        """Whether the engine has not yet confirmed the end of some row."""
        return any(not row.heard for row in self._rows.values())

    def add(self, row: int, now_s: float, *, records: int) -> None:
        """Free `row` with the `records`-th record from now; a row already here keeps its time."""
        self._rows.setdefault(row, _Row(now_s, records, not self.confirms_ends))

    def confirm(self, asked_at_s: float, now_s: float) -> None:
        """The engine has answered a question of `asked_at_s`: it has heard of earlier ends."""
        for row in self._rows.values():
            if not row.heard and row.since_s <= asked_at_s:
                row.since_s, row.records, row.heard = now_s, _RECORDS_ONCE_HEARD, True

    def count_record(self, now_s: float, *, age_s: float = 0.0) -> None:
        """A step record came that the engine made `age_s` ago."""
        self._last_record_at_s = now_s
        for row in self._rows.values():
            row.seen += 1
            row.records -= row.heard and row.since_s <= now_s - age_s

    def unseen_blocks(self, block_tokens: int) -> int:
        """Blocks that these rows may have grown by unseen: a token with each record that came."""
        return sum(1 + row.seen // block_tokens for row in self._rows.values())

    def due(self, now_s: float) -> list[int]:
        """Rows that are free by now; they are taken out."""
        due = [number for number, row in self._rows.items() if self._is_due(row, now_s)]
        for number in due:
            del self._rows[number]
        return due

    def _is_due(self, row: _Row, now_s: float) -> bool:
        idle_s = now_s - max(row.since_s, self._last_record_at_s)
        return row.heard and (row.records <= 0 or idle_s >= _IDLE_S)
