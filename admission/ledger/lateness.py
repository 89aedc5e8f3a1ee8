"""How much later than predicted a sequence starts: on its way to the engine, or in its queue."""

from collections.abc import Iterable
from math import floor

_KEPT = 0.97  # per grant: a late start is remembered for some thirty requests


class Lateness:
    """The worst recent delay, in steps; learned from sequences that are overdue.

    A demand that ends too early promises its blocks twice, so the worst delay counts and not the
    mean: it is adopted at once and forgotten slowly. `FirstTokens` corrects another forecast, that
    of the seconds to a first token, by which a request is refused: there one in ten may be later.
    """

    def __init__(self) -> None:
        self._due: dict[int, int] = {}  # sequence -> step of its first token if nothing delays it
        self._worst = 0.0

    @property
    def steps(self) -> int:
        """What to allow a newcomer beyond its prompt's turn."""
        return floor(self._worst)

    def expect(self, rows: Iterable[int], due_step: int) -> None:
        """These were granted now and would begin at `due_step` if nothing delayed them."""
        self._worst *= _KEPT
        self._due.update((row, due_step) for row in rows)

    def overdue(self, row: int, step: int) -> int:
        """The row is overdue; returns the further steps to allow it."""
        late = max(0, step - self._due[row])
        self._worst = max(self._worst, late)
        return self.steps - late // 2  # nothing says how long yet: at least half as long again

    def forget(self, row: int) -> None:
        """It is gone."""
        self._due.pop(row, None)
