"""Which running answers would miss their bound on the time per token if a prompt were computed now.

An answer of L tokens keeps a bound of b seconds a token if its last token comes within b (L - 1)
of its first. With g tokens out and e seconds gone since the first it has to spare

    b (L - 1) - e - d (L - g)                     d: what a step takes that only decodes

and loses c_p seconds of it for each prompt token that is computed during its remaining L - g steps,
of which each takes at most `room` of them. L is not known: it is as its class's lengths are
distributed, given that it is longer than g. So what a prompt costs is a number of answers expected
to be lost. Those that are lost already cost nothing.

All this is counted at the last step record: the step that runs since then is the first of those to
come, and its prompts are still ahead. What is planned with is less than b, since steps may take
longer than foreseen; who has used that up is not lost yet, and bears nothing more.
"""

from collections.abc import Sequence
from math import inf

import numpy as np

from admission.gates.at_stake import Answers, AtStake, Question, Steps
from admission.ledger.rows import Rows, place_of, places_of

# Lengths that stand for a distribution, each for an equal share of it. With eight of them the
# shortest answers had none, and were what the gate lost: one step with a prompt may take all that
# they have to spare. With 16 it lost some of those between two, and the shortest of thirty.
PARTS = 32

_FIRST_PLACES = 256


class Slack:
    """The answers that run or were let in, by row of the ledger."""

    def __init__(self) -> None:
        self._heard_at_s = 0.0  # of the last step record
        self._granted_tokens = 0  # prompt tokens of all that were ever let in
        self._at_stake: AtStake | None = None  # until the next step record, once asked for
        self._answers = _nobody(_FIRST_PLACES)

    def _grow(self) -> None:
        old, self._answers = self._answers, _nobody(2 * self._answers.rows.size)
        for before, after in zip(old, self._answers, strict=True):
            after[..., : old.rows.size] = before

    def let_in(self, prefill_tokens: int) -> None:
        """A request comes in; its prompts are computed behind all that came before."""
        self._granted_tokens += prefill_tokens

    def begin(self, row: int, lengths: Sequence[int]) -> None:
        """A sequence of the request that was let in last; `lengths` as in `expect`."""
        place = place_of(row)
        while place >= self._answers.rows.size:
            self._grow()
        self._answers.rows[place] = row
        self._answers.lengths[:, place] = lengths
        self._answers.state[:, place] = 1, 0, 0, self._granted_tokens
        if self._at_stake:
            self._at_stake.join(row, lengths, mark_tokens=self._granted_tokens)

    def expect(self, row: int, lengths: Sequence[int]) -> None:
        """Tokens it may have in the end, `PARTS` equally likely ones, shortest first."""
        self._answers.lengths[:, place_of(row)] = lengths
        self._at_stake = None

    def end(self, row: int) -> None:
        """The answer is over."""
        place = place_of(row)
        self._answers.rows[place] = 0
        self._answers.lengths[:, place] = 0

    def progress(self, rows: Rows, generated: Rows, now_s: float) -> list[int]:
        """Tokens that running sequences have produced; rows that are gone are passed over.

        Returns those that have their first by now.
        """
        self._at_stake = None
        self._heard_at_s = now_s
        numbers, (out, first_at_s, begun, mark_tokens) = self._answers.rows, self._answers.state
        at = places_of(rows)
        alive = (numbers.take(at) == rows) & (generated > 0)
        at = at[alive]
        out[at] = generated[alive]
        first = at[begun[at] == 0]
        first_at_s[first] = now_s
        begun[first] = 1
        mark_tokens[first] = -inf
        told: list[int] = numbers[first].tolist()
        return told

    def lost_by(
        self, prefill_tokens: int, steps: Steps, *, planned_s: float, bound_s: float
    ) -> float:
        """Answers expected to miss their bound because of so many prompt tokens more.

        `planned_s` and `bound_s` as in `Question`.
        """
        question = Question(prefill_tokens, steps, planned_s, bound_s, self._granted_tokens)
        if not (self._at_stake and self._at_stake.covers(question)):
            self._at_stake = AtStake(question, self._answers, self._heard_at_s)
        rows = self._at_stake.lost(question)
        if not rows.size:
            return 0.0
        places = places_of(rows)
        places = places[self._answers.rows[places] == rows]  # some ended meanwhile
        out, *_ = self._answers.state
        possible = (self._answers.lengths[:, places] > out[places]).sum(axis=0)
        return float((1 / possible).sum())


def _nobody(places: int) -> Answers:
    """Free places; their lengths are too short to lose anything."""
    return Answers(
        rows=np.zeros(places, dtype=np.int64),
        lengths=np.zeros((PARTS, places)),
        state=np.zeros((4, places)),
    )
