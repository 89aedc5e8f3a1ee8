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

    def _allocate(self, places: int) -> None:
        self._number: Rows = np.zeros(places, dtype=np.int64)  # the row in this place, 0 when free
        self._first_at_s = np.full(places, inf)
        self._out = np.ones(places)  # tokens produced; one is counted before it is
        self._mark: Rows = np.zeros(places, dtype=np.int64)  # prompt tokens granted up to its own
        self._lengths = np.zeros((PARTS, places))  # 0 where nobody is: too short to lose anything

    def _grow(self) -> None:
        before = (self._number, self._first_at_s, self._out, self._mark, self._lengths)
        self._allocate(2 * self._number.size)
        after = (self._number, self._first_at_s, self._out, self._mark, self._lengths)
        for old, new in zip(before, after, strict=True):
            new[..., : old.shape[-1]] = old

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
        self._out[place] = 1
        self._mark[place] = self._granted_tokens
        self._lengths[:, place] = lengths

    def expect(self, row: int, lengths: Sequence[int]) -> None:
        """Tokens it may have in the end, `PARTS` equally likely ones, shortest first."""
        self._lengths[:, place_of(row)] = lengths

    def end(self, row: int) -> None:
        """The answer is over."""
        place = place_of(row)
        self._number[place] = 0
        self._lengths[:, place] = 0

    def progress(self, rows: Rows, generated: Rows, now_s: float) -> list[int]:
        """Tokens that running sequences have produced; rows that are gone are passed over.

        Returns those that have their first by now.
        """
        at = places_of(rows)
        begun = (self._number.take(at) == rows) & (generated > 0)
        at = at[begun]
        self._out[at] = generated[begun]
        first = at[self._first_at_s[at] == inf]
        self._first_at_s[first] = now_s
        numbers: list[int] = self._number[first].tolist()
        return numbers

    def lost_by(self, prefill_tokens: int, steps: Steps, *, bound_s: float, now_s: float) -> float:
        """Answers expected to miss `bound_s` because of so many prompt tokens more.

        In prompt tokens: each can bear so many; lost is who can bear those ahead and not these
        too, if his steps are enough to meet them.
        """
        used = slice(self._used)
        first_at_s, out, lengths = self._first_at_s[used], self._out[used], self._lengths[:, used]
        begun = first_at_s != inf
        ahead = np.minimum(self._granted_tokens - self._mark[used], steps.backlog_tokens)
        ahead[begun] = steps.backlog_tokens
        spent_s = np.where(begun, now_s - first_at_s, 0.0) + bound_s - steps.decode_s * out
        spent = spent_s / steps.prefill_token_s + ahead
        per_length = (bound_s - steps.decode_s) / steps.prefill_token_s
        at_stake = np.flatnonzero(
            (lengths[-1] * per_length >= spent) & (lengths[0] * per_length - spent < prefill_tokens)
        )
        if not at_stake.size:
            return 0.0
        lengths, out, ahead = lengths[:, at_stake], out[at_stake], ahead[at_stake]
        bears = lengths * per_length - spent[at_stake]  # beyond those ahead
        lost = (bears >= 0) & (bears < prefill_tokens)
        lost &= bears < steps.room_tokens * (lengths - out) - ahead
        possible = np.maximum(1, (lengths > out).sum(axis=0))
        return float((lost.sum(axis=0) / possible).sum())
