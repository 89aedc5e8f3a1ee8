"""Running completions by traffic class, and their tokens so far."""

from collections.abc import Callable

from admission.price.lengths import ClassKey


class Unfinished:
    """Ledger rows whose lengths will teach their classes; `produced` gives a row's tokens."""

    def __init__(self, produced: Callable[[int], int]) -> None:
        self._produced = produced
        self._rows: dict[ClassKey, dict[int, None]] = {}
        self._keys: dict[int, tuple[ClassKey, ...]] = {}

    def begin(self, row: int, keys: tuple[ClassKey, ...]) -> None:
        """Add a completion of a class and its parents."""
        self._keys[row] = keys
        for key in keys:
            self._rows.setdefault(key, {})[row] = None

    def end(self, row: int) -> None:
        """Remove a row; unknown rows are ignored."""
        for key in self._keys.pop(row, ()):
            rows = self._rows[key]
            del rows[row]
            if not rows:
                del self._rows[key]

    def produced(self, key: ClassKey) -> list[int]:
        """Tokens so far of each running completion of a class."""
        return [self._produced(row) for row in self._rows.get(key, ())]
