"""Which running answers would miss their bound on the time per token if a prompt were computed now.

An answer of L tokens keeps a bound of b seconds a token if its last token comes within b (L - 1)
of its first. With g tokens out and e seconds gone since the first it has to spare

    b (L - 1) - e - d (L - g)                     d: what a step takes that only decodes

and loses c_p seconds of it for each prompt token that is computed during its remaining L - g steps,
of which each takes at most `room` of them. L is not known: it is as its class's lengths are
distributed, given that it is longer than g. So what a prompt costs is a number of answers expected
to be lost. Those that are lost already cost nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import numpy as np

from admission.rows import Rows, place_of, places_of

PARTS = 8  # lengths that stand for a distribution, each for an equal share of it

_FIRST_PLACES = 256


@dataclass(frozen=True, slots=True)
class Steps:
    """The engine's next steps: what they take, and the prompt tokens that they have before them.

    A step that only decodes takes `decode_s`; it has room for `room_tokens` of prompts, each of
    which takes `prefill_token_s` more.
    """

    decode_s: float
    prefill_token_s: float
    room_tokens: int
    backlog_tokens: int


class Slack:
    """The answers that run or were let in, by row of the ledger."""

    def __init__(self) -> None:
        self._granted_tokens = 0  # prompt tokens of all that were ever let in
        self._used = 0  # places that were ever used
        self._allocate(_FIRST_PLACES)

    def _allocate(self, size: int) -> None:
        self._number: Rows = np.zeros(size, dtype=np.int64)
        self._first_at_s = np.full(size, inf)
        self._generated: Rows = np.zeros(size, dtype=np.int64)
        self._mark: Rows = np.zeros(size, dtype=np.int64)
        self._lengths: Rows = np.zeros((size, PARTS), dtype=np.int64)

    def _grow(self) -> None:
        old = (self._number, self._first_at_s, self._generated, self._mark, self._lengths)
        self._allocate(2 * self._number.size)
        new = (self._number, self._first_at_s, self._generated, self._mark, self._lengths)
        for before, after in zip(old, new, strict=True):
            after[: len(before)] = before

    def let_in(self, prefill_tokens: int) -> None:
        """A request comes in; its prompts are computed behind all that came before."""
        self._granted_tokens += prefill_tokens

    def begin(self, row: int, lengths: Sequence[int]) -> None:
        """A sequence of the request that was let in last; `lengths` as in `expect`."""
        place = place_of(row)
        while place >= self._number.size:
            self._grow()
        self._used = max(self._used, place + 1)
        self._number[place] = row
        self._first_at_s[place] = inf
        self._generated[place] = 0
        self._mark[place] = self._granted_tokens
        self._lengths[place] = lengths

    def expect(self, row: int, lengths: Sequence[int]) -> None:
        """Lengths it may have, `PARTS` equally likely ones."""
        self._lengths[place_of(row)] = lengths

    def end(self, row: int) -> None:
        """The answer is over."""
        self._number[place_of(row)] = 0

    def progress(self, rows: Rows, generated: Rows, now_s: float) -> list[int]:
        """Tokens that running sequences have produced; rows that are gone are passed over.

        Returns those that have their first by now.
        """
        at = places_of(rows)
        alive = self._number.take(at) == rows
        at, generated = at[alive], generated[alive]
        self._generated[at] = generated
        first = at[(generated > 0) & (self._first_at_s[at] == inf)]
        self._first_at_s[first] = now_s
        begun: list[int] = self._number[first].tolist()
        return begun

    def lost_by(self, prefill_tokens: int, steps: Steps, *, bound_s: float, now_s: float) -> float:
        """Answers expected to miss `bound_s` because of so many prompt tokens more."""
        live = self._number[: self._used].nonzero()[0]
        if not live.size:
            return 0.0
        first_at_s = self._first_at_s[live]
        begun = first_at_s != inf
        behind = np.minimum(self._granted_tokens - self._mark[live], steps.backlog_tokens)
        ahead = np.where(begun, steps.backlog_tokens, behind)[:, None]
        elapsed_s = np.where(begun, now_s - first_at_s, 0.0)[:, None]
        lengths = self._lengths[live]
        left = lengths - np.maximum(self._generated[live], 1)[:, None]
        possible = left > 0
        spare_s = bound_s * (lengths - 1) - elapsed_s - steps.decode_s * left
        bearable = spare_s / steps.prefill_token_s
        most = left * steps.room_tokens
        kept = np.minimum(ahead, most) <= bearable
        lost = kept & possible & (np.minimum(ahead + prefill_tokens, most) > bearable)
        shares = lost.sum(axis=1) / np.maximum(1, possible.sum(axis=1))
        return float(shares.sum())
