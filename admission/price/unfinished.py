"""Answers that still run, by traffic class: how long they are so far."""

from collections.abc import Callable

from admission.price.lengths import ClassKey


class Unfinished:
    """Rows of the ledger whose lengths will teach their classes; `produced` tells of each."""

    def __init__(self, produced: Callable[[int], int]) -> None:
        self._produced = produced
        self._rows: dict[ClassKey, dict[int, None]] = {}
        self._keys: dict[int, tuple[ClassKey, ...]] = {}

    def begin(self, row: int, keys: tuple[ClassKey, ...]) -> None:
        """An answer of a class and its parents is let in."""
        self._keys[row] = keys
        for key in keys:
            self._rows.setdefault(key, {})[row] = None

    def end(self, row: int) -> None:
        """It is over; rows that were never begun are passed over."""
        for key in self._keys.pop(row, ()):
            rows = self._rows[key]
            del rows[row]
            if not rows:
                del self._rows[key]

    def produced(self, key: ClassKey) -> list[int]:
        """Tokens that each of a class has produced."""
        return [self._produced(row) for row in self._rows.get(key, ())]
