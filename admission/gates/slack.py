"""Which running answers would miss their bound on the time per token if a prompt were computed now.

An answer of L tokens keeps a bound of b seconds a token if its last token comes within b (L - 1)
of its first. With g tokens out and e seconds gone since the first it has to spare

    b (L - 1) - e - d (L - g)                     d: what a step takes that only decodes

and loses c_p seconds of it for each prompt token that is computed during its remaining L - g steps,
of which each takes at most `room` of them. L is not known: it is as its class's lengths are
distributed, given that it is longer than g. So what a prompt costs is a number of answers expected
to be lost. Those that are lost already cost nothing.

All this is counted at the last step record: the step that runs since then is the first of those to
come, and its prompts are still ahead. The plan uses less than b, since steps may take longer than
predicted. An answer past the plan but within b counts as at risk: it can bear nothing more.
"""

from collections.abc import Sequence
from math import inf
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from admission.ledger.rows import Rows, place_of, places_of

Numbers = npt.NDArray[np.float64]

# Lengths that stand for a distribution, each for an equal share of it. With eight of them the
# shortest answers had none, and were what the gate lost: one step with a prompt may take all that
# they have to spare. With 16 it lost some of those between two, and the shortest of thirty.
PARTS = 32

_FIRST_PLACES = 256


class StepCosts(NamedTuple):
    """The engine's next steps: what they take, and the prompt tokens that they have before them.

    A step that only decodes takes `decode_s`; it has room for `room_tokens` of prompts, each of
    which takes `prefill_token_s` more.
    """

    decode_s: float
    prefill_token_s: float
    room_tokens: int
    backlog_tokens: int


class _Answers(NamedTuple):
    """All answers, a column each.

    `rows` are 0 where a place is free; `lengths` are several equally likely ones of each. `state`
    is, one below the other: tokens out; the instant of its first token, 0 before; whether it has
    come, 0 or 1; prompt tokens granted up to its own, -inf once it has begun: then it is slowed by
    all.
    """

    rows: Rows
    lengths: Numbers
    state: Numbers


class Slack:
    """The answers that run or were let in, by row of the ledger."""

    def __init__(self) -> None:
        self._heard_at_s = 0.0  # of the last step record
        self._granted_tokens = 0  # prompt tokens of all that were ever let in
        self._answers = _free(_FIRST_PLACES)

    def _grow(self) -> None:
        old, self._answers = self._answers, _free(2 * self._answers.rows.size)
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

    def expect(self, row: int, lengths: Sequence[int]) -> None:
        """Tokens it may have in the end, `PARTS` equally likely ones, shortest first."""
        self._answers.lengths[:, place_of(row)] = lengths

    def end(self, row: int) -> None:
        """The answer is over."""
        place = place_of(row)
        self._answers.rows[place] = 0
        self._answers.lengths[:, place] = 0

    def progress(self, rows: Rows, generated: Rows, now_s: float) -> list[int]:
        """Tokens that running sequences have produced; rows that are gone are passed over.

        Returns those that have their first by now.
        """
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
        first_rows: list[int] = numbers[first].tolist()
        return first_rows

    def lost_by(
        self, prefill_tokens: int, steps: StepCosts, *, planned_s: float, bound_s: float
    ) -> float:
        """Answers expected to miss their bound because of `prefill_tokens` more prompt tokens.

        Seconds per token: an answer may come to need `planned_s`, one that is past that already
        `bound_s`. Per answer, the lengths with which it is lost lie between two limits: a longer
        one bears these tokens, too; with a shorter one it ends before it meets them, or is lost
        already.
        """
        running = np.flatnonzero(self._answers.rows)
        lengths = self._answers.lengths[:, running]
        out, first_at_s, begun, mark_tokens = self._answers.state[:, running]
        ahead = np.minimum(self._granted_tokens - mark_tokens, steps.backlog_tokens)
        decode_s, token_s = steps.decode_s, steps.prefill_token_s
        spent_s = self._heard_at_s * begun - first_at_s - decode_s * out
        full_s = decode_s + token_s * steps.room_tokens  # of a step that is full of prompts
        with np.errstate(divide="ignore", invalid="ignore"):  # a plan that decoding uses up
            bears_ahead = (bound_s + spent_s + token_s * ahead) / (bound_s - decode_s)
            bears_all = (planned_s + spent_s + token_s * (ahead + prefill_tokens)) / (
                planned_s - decode_s
            )
            bears_full_steps = (planned_s + spent_s - token_s * steps.room_tokens * out) / (
                planned_s - full_s
            )
        least = out
        if full_s > planned_s:
            least = np.maximum(out, bears_full_steps)
        else:
            bears_all = np.minimum(bears_all, bears_full_steps)
        lost = (lengths > least) & (lengths >= bears_ahead) & (lengths < bears_all)
        possible = (lengths > out).sum(axis=0)
        return float((lost.sum(axis=0) / np.maximum(1, possible)).sum())


def _free(places: int) -> _Answers:
    return _Answers(
        rows=np.zeros(places, dtype=np.int64),
        lengths=np.zeros((PARTS, places)),
        state=np.zeros((4, places)),
    )
