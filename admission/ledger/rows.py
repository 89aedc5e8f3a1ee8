"""The table behind the ledger: one row per engine sequence or shared prompt, kept as columns.

A record that advances a thousand sequences is then a handful of array operations.
"""

import numpy as np
import numpy.typing as npt

from admission.price.footprint import blocks_for

Rows = npt.NDArray[np.int64]

_PLACES = 1 << 24  # more than rows at once; the bits below are a row's place in the columns
_PLACE = _PLACES - 1
_FIRST_PLACES = 256
_COLUMNS = 8


def place_of(row: int) -> int:
    """Index of a row in the columns: a small number, reused once the row is gone."""
    return row & _PLACE


def places_of(rows: Rows) -> Rows:
    """As `place_of`, of several."""
    return rows & _PLACE


class RowTable:
    """Rows by number; numbers are never reused, so a late record of a freed row matches none."""

    def __init__(self, *, block_tokens: int, lookahead_tokens: int) -> None:
        self._block_tokens = block_tokens
        self._lookahead_tokens = lookahead_tokens
        self._used = 0  # places that were ever used
        self._free: list[int] = []  # numbers for the places that are free again
        self._bind(np.zeros((_COLUMNS, _FIRST_PLACES), dtype=np.int64))

    def _bind(self, columns: Rows) -> None:
        self._columns = columns
        (
            self._number,  # the row in this place, 0 when free
            self._is_branch,  # 1 for a sequence, 0 for a shared prompt
            self._prompt,  # tokens of its prompt that this row holds
            self._computed,  # of those, already computed
            self._generated,
            self._predicted,  # tokens until which its prediction holds; its length where known
            self._anchor,  # step at which its demand has it start to generate
            self._begin,  # step at which it starts at the latest, by its demand
        ) = columns

    def add(self, *, prompt_tokens: int, predicted_tokens: int, is_branch: bool) -> int:
        """A new row; returns its number."""
        if self._free:
            row = self._free.pop()
        else:
            row = _PLACES + self._used
            self._used += 1
            if self._used > self._number.size:
                self._bind(np.concatenate([self._columns, np.zeros_like(self._columns)], axis=1))
        place = row & _PLACE
        self._number[place] = row
        self._is_branch[place] = is_branch
        self._prompt[place] = prompt_tokens
        self._predicted[place] = predicted_tokens
        return row

    def split(self, row: int, tokens: int) -> int:
        """Move the first `tokens` of a prompt into a new row; returns its number."""
        new = self.add(prompt_tokens=tokens, predicted_tokens=0, is_branch=False)
        computed = min(tokens, int(self._computed.item(row & _PLACE)))
        self._computed[new & _PLACE] = computed
        self._prompt[row & _PLACE] -= tokens
        self._computed[row & _PLACE] -= computed
        return new

    def remove(self, row: int) -> None:
        """Free the place of a row."""
        self._columns[:, row & _PLACE] = 0
        self._free.append(row + _PLACES)

    # -- one row ---------------------------------------------------------------------------

    def blocks(self, row: int, *, computing: int = 0) -> int:
        """Blocks a row holds once `computing` more prompt tokens are computed; at first 0."""
        place = row & _PLACE
        computed = int(self._computed.item(place)) + computing
        if not computed:
            return 0
        tokens = computed + int(self._generated.item(place))
        if self._is_branch[place]:
            tokens += self._lookahead_tokens
        return blocks_for(tokens, block_tokens=self._block_tokens)

    def missing(self, row: int) -> int:
        """Prompt tokens not yet computed."""
        place = row & _PLACE
        return int(self._prompt.item(place) - self._computed.item(place))

    def computed_tokens(self, row: int) -> int:
        """Prompt tokens computed."""
        return int(self._computed.item(row & _PLACE))

    def compute(self, row: int, tokens: int) -> None:
        """Count `tokens` more prompt tokens as computed."""
        self._computed[row & _PLACE] += tokens

    def prompt_tokens(self, row: int) -> int:
        """Prompt tokens the row holds once computed."""
        return int(self._prompt.item(row & _PLACE))

    def generated(self, row: int) -> int:
        """Tokens generated so far."""
        return int(self._generated.item(row & _PLACE))

    def predicted(self, row: int) -> int:
        """Tokens until which its prediction holds."""
        return int(self._predicted.item(row & _PLACE))

    def repredict(self, row: int, tokens: int) -> None:
        """Its prediction holds until it has generated `tokens`."""
        self._predicted[row & _PLACE] = tokens

    def note_demand(self, row: int, *, anchor: int, begin: int) -> None:
        """The steps at which its demand has it begin to generate: by its growth, and by its end."""
        place = row & _PLACE
        self._anchor[place] = anchor
        self._begin[place] = begin

    def begin(self, row: int) -> int:
        """Step at which it begins to generate at the latest, by its demand."""
        return int(self._begin.item(row & _PLACE))

    # -- all of them -----------------------------------------------------------------------

    def held_blocks(self) -> int:
        """Blocks that all rows hold now."""
        used = slice(self._used)
        tokens = self._computed[used] + self._generated[used]
        if self._lookahead_tokens:
            begun = self._is_branch[used] * (self._computed[used] > 0)
            tokens += self._lookahead_tokens * begun
        tokens += self._block_tokens - 1
        tokens //= self._block_tokens
        return int(tokens.sum())

    def advance(self, rows: Rows, generated: Rows) -> tuple[float, list[int]]:
        """Set what running rows have generated; rows that are gone are passed over.

        Returns the mean gain of those that gained, and the rows that outgrew their prediction,
        furthest beyond it first.
        """
        places = rows & _PLACE
        alive = self._number.take(places) == rows
        if not alive.all():
            rows, places, generated = rows[alive], places[alive], generated[alive]
        gained = generated - self._generated.take(places)
        self._generated[places] = generated
        some = int(np.count_nonzero(gained))
        over = generated >= self._predicted.take(places)
        outlived: list[int] = []
        if over.any():
            beyond = generated[over] - self._predicted.take(places[over])
            outlived = rows[over][np.argsort(-beyond, kind="stable")].tolist()
        return (float(gained.sum()) / some if some else 0.0), outlived

    def begun_incomplete(self) -> list[int]:
        """Rows that generate although their prompt is not all counted as computed."""
        used = slice(self._used)
        short = self._computed[used] < self._prompt[used]
        return self._numbers(short & (self._generated[used] > 0))

    def strayed(self, step: int, tolerance_steps: int) -> list[int]:
        """Sequences more than `tolerance_steps` ahead of their demand or behind it."""
        used = slice(self._used)
        lead = self._generated[used] + self._anchor[used]
        lead -= step
        np.abs(lead, out=lead)
        lead *= self._is_branch[used]
        return self._numbers(lead > tolerance_steps)

    def _numbers(self, chosen: npt.NDArray[np.bool_]) -> list[int]:
        if not chosen.any():
            return []
        found: list[int] = self._number[: self._used][chosen].tolist()
        return found
