"""Rows of the ledger that several sequences hold together, and the hashes that name them.

A shared prefix is the beginning of a prompt, in whole blocks, as a row of its own. It lives as long
as a sequence uses it. One row counts each named chunk: the shared prefix that contains it, or the
sequence that brought it while no other sequence has it.
"""

from collections.abc import Iterable, Iterator

from admission.price.prefixes import PrefixHashes


class SharedPrefixes:
    """Which sequence uses which shared prefixes, in prompt order; counts no blocks."""

    def __init__(self) -> None:
        self._under: dict[int, list[int]] = {}  # sequence -> shared prefixes
        self._on: dict[int, dict[int, None]] = {}  # shared prefix -> sequences, the oldest first
        self._names: dict[int, PrefixHashes] = {}  # row -> names of the chunks at its beginning
        self._row: dict[int, int] = {}  # name -> the row that counts its chunk

    def under(self, sequence: int) -> tuple[int, ...]:
        """The shared prefixes that a sequence uses, in prompt order."""
        return tuple(self._under.get(sequence, ()))

    def on(self, shared_prefix: int) -> tuple[int, ...]:
        """The sequences that use a shared prefix."""
        return tuple(self._on[shared_prefix])

    def crowds(self) -> Iterator[tuple[int, int]]:
        """Every shared prefix, and the number of sequences that use it."""
        return ((shared_prefix, len(on)) for shared_prefix, on in self._on.items())

    def is_shared_prefix(self, row: int) -> bool:
        """Whether no sequence ends this row."""
        return row in self._on

    def plant(self, shared_prefix: int) -> None:
        """Add a shared prefix; the caller attaches a sequence at once."""
        self._on[shared_prefix] = {}

    def stand(self, sequence: int, shared_prefixes: Iterable[int]) -> None:
        """A new sequence uses these."""
        self._under[sequence] = list(shared_prefixes)
        for shared_prefix in self._under[sequence]:
            self._on[shared_prefix][sequence] = None

    def leave(self, sequence: int) -> tuple[list[int], list[int]]:
        """A sequence ended. Returns the shared prefixes that others use, and those unused now."""
        stay: list[int] = []
        left: list[int] = []
        for shared_prefix in self._under.pop(sequence, ()):
            del self._on[shared_prefix][sequence]
            (stay if self._on[shared_prefix] else left).append(shared_prefix)
        return stay, left

    # -- names -----------------------------------------------------------------------------

    def name(self, row: int, names: PrefixHashes) -> None:
        """A row begins with these chunks; where another counts one of them, nothing is noted."""
        if names and not any(name in self._row for name in names):
            self._names[row] = names
            self._row.update(dict.fromkeys(names, row))

    def forget(self, row: int) -> None:
        """The row is gone."""
        self._on.pop(row, None)
        for name in self._names.pop(row, ()):
            del self._row[name]

    def known(self, hashes: PrefixHashes) -> int:
        """How many chunks of a prompt are counted already."""
        for place, name in enumerate(hashes):
            if name not in self._row:
                return place
        return len(hashes)

    def parts(self, hashes: PrefixHashes) -> Iterator[tuple[int, int]]:
        """Which rows count the known part of a prompt, and how many chunks of each it takes."""
        place, known = 0, self.known(hashes)
        while place < known:
            row = self._row[hashes[place]]
            count = min(len(self._names[row]), known - place)
            yield row, count
            place += count

    def split(self, row: int, count: int, shared_prefix: int) -> None:
        """The first `count` chunks of a row move to a shared prefix."""
        names = self._names.pop(row)
        self.plant(shared_prefix)
        self._names[shared_prefix] = names[:count]
        self._row.update(dict.fromkeys(names[:count], shared_prefix))
        if names[count:]:
            self._names[row] = names[count:]
        for sequence in self._on.get(row, (row,)):
            under = self._under.setdefault(sequence, [])
            under.insert(under.index(row) if row in under else len(under), shared_prefix)
            self._on[shared_prefix][sequence] = None
