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
from math import inf

import numpy as np

from admission.at_stake import Answers, AtStake, Question, Steps
from admission.rows import Rows, place_of, places_of

PARTS = 8  # lengths that stand for a distribution, each for an equal share of it

_FIRST_PLACES = 256


class Slack:
    """The answers that run or were let in, by row of the ledger."""

    def __init__(self) -> None:
        self._granted_tokens = 0  # prompt tokens of all that were ever let in
        self._used = 0  # places that were ever used
        self._at_stake: AtStake | None = None  # until the next step record, once asked for
        self._allocate(_FIRST_PLACES)

    def _allocate(self, places: int) -> None:
        self._number: Rows = np.zeros(places, dtype=np.int64)  # the row in this place, 0 when free
        self._first_at_s = np.full(places, inf)
        self._out = np.ones(places)  # tokens produced; one is counted before it is
        self._mark = np.zeros(places)  # prompt tokens granted up to its own; -inf once it began
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
        if self._at_stake:
            self._at_stake.join(row, lengths, mark_tokens=self._granted_tokens)

    def expect(self, row: int, lengths: Sequence[int]) -> None:
        """Tokens it may have in the end, `PARTS` equally likely ones, shortest first."""
        self._lengths[:, place_of(row)] = lengths
        self._at_stake = None

    def end(self, row: int) -> None:
        """The answer is over."""
        place = place_of(row)
        self._number[place] = 0
        self._lengths[:, place] = 0

    def progress(self, rows: Rows, generated: Rows, now_s: float) -> list[int]:
        """Tokens that running sequences have produced; rows that are gone are passed over.

        Returns those that have their first by now.
        """
        self._at_stake = None
        at = places_of(rows)
        begun = (self._number.take(at) == rows) & (generated > 0)
        at = at[begun]
        self._out[at] = generated[begun]
        first = at[self._first_at_s[at] == inf]
        self._first_at_s[first] = now_s
        self._mark[first] = -inf
        numbers: list[int] = self._number[first].tolist()
        return numbers

    def lost_by(self, prefill_tokens: int, steps: Steps, *, bound_s: float, now_s: float) -> float:
        """Answers expected to miss `bound_s` because of so many prompt tokens more."""
        question = Question(prefill_tokens, steps, bound_s, now_s, self._granted_tokens)
        if not (self._at_stake and self._at_stake.covers(question)):
            self._at_stake = AtStake(question, self._answers())
        rows = self._at_stake.lost(question)
        if not rows.size:
            return 0.0
        places = places_of(rows)
        places = places[self._number[places] == rows]  # some ended meanwhile
        possible = (self._lengths[:, places] > self._out[places]).sum(axis=0)
        return float((1 / possible).sum())

    def _answers(self) -> Answers:
        used = slice(self._used)
        return Answers(
            self._number[used],
            self._lengths[:, used],
            self._out[used],
            self._first_at_s[used],
            self._mark[used],
        )
