"""Rows whose end is known here before the engine has freed them: aborts, stop strings."""

_IDLE_S = 1.0  # an idle engine sends no step records: what was aborted is gone by then


class Lingering:
    """Who is about to be freed, and when: after some step records, or a second without any.

    A row that is freed otherwise stays here until then; to free it twice changes nothing.
    """

    def __init__(self) -> None:
        self._records = 0
        self._rows: dict[int, tuple[int, float]] = {}  # row -> (free at this record, or instant)

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, row: int, now_s: float, *, records: int) -> None:
        """Free `row` with the `records`-th record from now; a row already here keeps its time."""
        self._rows.setdefault(row, (self._records + records, now_s + _IDLE_S))

    def count_record(self) -> None:
        """The engine reported one more step."""
        self._records += 1

    def due(self, now_s: float) -> list[int]:
        """Rows that are free by now; they are taken out."""
        if not self._rows:
            return []
        due = [
            row
            for row, (record, at_s) in self._rows.items()
            if record <= self._records or at_s <= now_s
        ]
        for row in due:
            del self._rows[row]
        return due
