"""Who stands on what: rows of the ledger that several sequences hold together, and by which names.

A trunk is the beginning of a prompt, whole blocks of it, as a row of its own that no sequence ends.
It is there as long as anybody stands on it. Each named stretch is counted by one row: by the trunk
it lies in, or by the sequence that brought it while nobody else has it.
"""

from collections.abc import Iterable, Iterator

from admission.price.prefixes import Chain


class Trunks:
    """Sequences and what they stand on, from the beginning of the prompt on; counts no blocks."""

    def __init__(self) -> None:
        self._under: dict[int, list[int]] = {}  # sequence -> trunks
        self._on: dict[int, dict[int, None]] = {}  # trunk -> sequences, the oldest first
        self._names: dict[int, Chain] = {}  # row -> names of the stretches at its beginning
        self._row: dict[int, int] = {}  # name -> the row that counts its stretch

    def under(self, sequence: int) -> tuple[int, ...]:
        """The trunks a sequence stands on."""
        return tuple(self._under.get(sequence, ()))

    def on(self, trunk: int) -> tuple[int, ...]:
        """The sequences that stand on a trunk."""
        return tuple(self._on[trunk])

    def crowds(self) -> Iterator[tuple[int, int]]:
        """Every trunk, and how many stand on it."""
        return ((trunk, len(on)) for trunk, on in self._on.items())

    def is_trunk(self, row: int) -> bool:
        """Whether no sequence ends this row."""
        return row in self._on

    def plant(self, trunk: int) -> None:
        """A new trunk; somebody will stand on it at once."""
        self._on[trunk] = {}

    def stand(self, sequence: int, trunks: Iterable[int]) -> None:
        """A new sequence stands on these."""
        self._under[sequence] = list(trunks)
        for trunk in self._under[sequence]:
            self._on[trunk][sequence] = None

    def leave(self, sequence: int) -> tuple[list[int], list[int]]:
        """A sequence is over. Returns the trunks that stay without it, and those left by all."""
        stay: list[int] = []
        left: list[int] = []
        for trunk in self._under.pop(sequence, ()):
            del self._on[trunk][sequence]
            (stay if self._on[trunk] else left).append(trunk)
        return stay, left

    # -- names -----------------------------------------------------------------------------

    def name(self, row: int, names: Chain) -> None:
        """A row begins with these stretches; where another counts one of them, nothing is noted."""
        if names and not any(name in self._row for name in names):
            self._names[row] = names
            self._row.update(dict.fromkeys(names, row))

    def forget(self, row: int) -> None:
        """The row is gone."""
        self._on.pop(row, None)
        for name in self._names.pop(row, ()):
            del self._row[name]

    def known(self, chain: Chain) -> int:
        """How many stretches of a prompt are counted already."""
        for place, name in enumerate(chain):
            if name not in self._row:
                return place
        return len(chain)

    def parts(self, chain: Chain) -> Iterator[tuple[int, int]]:
        """Which rows count the known part of a prompt, and how many stretches of each it takes."""
        place, known = 0, self.known(chain)
        while place < known:
            row = self._row[chain[place]]
            count = min(len(self._names[row]), known - place)
            yield row, count
            place += count

    def split(self, row: int, count: int, trunk: int) -> None:
        """So many stretches at the beginning of a row are a trunk from now on."""
        names = self._names.pop(row)
        self.plant(trunk)
        self._names[trunk] = names[:count]
        self._row.update(dict.fromkeys(names[:count], trunk))
        if names[count:]:
            self._names[row] = names[count:]
        for sequence in self._on.get(row, (row,)):
            under = self._under.setdefault(sequence, [])
            under.insert(under.index(row) if row in under else len(under), trunk)
            self._on[trunk][sequence] = None
