"""The answers that a prompt may cost their bound before the next step record.

Until then nobody gains a token; time passes, prompts are let in, and a step that only decodes is
foreseen to take a little more or less. So an answer that has far more to spare than the first
question asks for, or has missed its bound by far, need not be looked at again.
"""

from collections.abc import Sequence
from math import inf
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from admission.rows import Rows

Numbers = npt.NDArray[np.float64]

_DRIFT_RATIO = 0.02  # by which a decode step may be foreseen otherwise: dozens of sequences
_STEPS = 2  # that a choice should last for, one may be late
_NOBODY: Rows = np.empty(0, dtype=np.int64)


class Steps(NamedTuple):
    """The engine's next steps: what they take, and the prompt tokens that they have before them.

    A step that only decodes takes `decode_s`; it has room for `room_tokens` of prompts, each of
    which takes `prefill_token_s` more.
    """

    decode_s: float
    prefill_token_s: float
    room_tokens: int
    backlog_tokens: int


class Question(NamedTuple):
    """Who would miss `bound_s` because of so many prompt tokens more.

    `granted_tokens` were ever let in.
    """

    prefill_tokens: int
    steps: Steps
    bound_s: float
    now_s: float
    granted_tokens: int


class Answers(NamedTuple):
    """All answers, a column each.

    `rows` are 0 where nobody is; `lengths` are several equally likely ones of each. `state` is, one
    below the other: tokens out; the instant of its first token, 0 before; whether it has come, 0 or
    1; prompt tokens granted up to its own, -inf once it has begun: then it is slowed by all.
    """

    rows: Rows
    lengths: Numbers
    state: Numbers


class AtStake:
    """Chosen for one question; good for all that it `covers` while nobody gains a token.

    Pairs of an answer and a length that it may have, a column each: tokens it lacks, seconds it may
    take, whether they run already, its mark.
    """

    def __init__(self, asked: Question, answers: Answers) -> None:
        steps = asked.steps
        self._asked = asked
        self._slower_s = steps.decode_s * (1 + _DRIFT_RATIO)
        self._spare_tokens = steps.room_tokens + _STEPS * steps.decode_s / steps.prefill_token_s
        self._reach_tokens = asked.prefill_tokens + self._spare_tokens
        near = np.flatnonzero(self._near(answers))
        place = near % answers.rows.size
        length = answers.lengths.ravel()[near]
        self._rows = answers.rows[place]
        self._pairs = answers.state[:, place]
        self._pairs[0] = length - self._pairs[0]
        self._pairs[1] += asked.bound_s * (length - 1)
        self._newcomers: list[tuple[int, Sequence[int], int]] = []
        # what nobody chosen bears less than until there is another choice
        bears, _ = self._bear(asked._replace(steps=steps._replace(decode_s=self._slower_s)))
        self._least_tokens = float(bears.min()) if bears.size else inf

    def _near(self, answers: Answers) -> npt.NDArray[np.bool_]:
        """Who may come to be at stake, by the shortest and the longest length for which he can."""
        _, steps, bound_s, now_s, granted_tokens = self._asked
        out, first_at_s, begun, mark_tokens = answers.state
        ahead = np.minimum(granted_tokens - mark_tokens, steps.backlog_tokens)
        spent_s = now_s * begun - first_at_s + steps.prefill_token_s * ahead + bound_s

        def bearing(tokens: float, decode_s: float) -> Numbers:
            """The lengths with which they can bear so many tokens beyond those ahead."""
            more_s = steps.prefill_token_s * tokens
            lengths: Numbers = (spent_s - decode_s * out + more_s) / (bound_s - decode_s)
            return lengths

        shortest = bearing(-self._spare_tokens, steps.decode_s * (1 - _DRIFT_RATIO))
        near: npt.NDArray[np.bool_] = answers.lengths > np.maximum(out, shortest)
        if self._slower_s < bound_s:
            near &= answers.lengths < bearing(self._reach_tokens, self._slower_s)
        return near

    def covers(self, question: Question) -> bool:
        """Whether nobody but the chosen can be at stake in this question."""
        asked, now, then = self._asked, question.steps, self._asked.steps
        return (
            question.bound_s == asked.bound_s
            and question.now_s >= asked.now_s
            and now.prefill_token_s == then.prefill_token_s
            and abs(now.decode_s - then.decode_s) <= _DRIFT_RATIO * then.decode_s
            and now.backlog_tokens > then.backlog_tokens - self._spare_tokens
            and self._needed_tokens(question) <= self._reach_tokens
        )

    def _needed_tokens(self, question: Question) -> float:
        """What one must have been able to bear at first to lose nothing now."""
        asked = self._asked
        passed_s = question.now_s - asked.now_s
        more_ahead_tokens = max(
            question.granted_tokens - asked.granted_tokens,
            question.steps.backlog_tokens - asked.steps.backlog_tokens,
        )
        passed_tokens = passed_s / asked.steps.prefill_token_s
        return passed_tokens + more_ahead_tokens + question.prefill_tokens

    def lost(self, question: Question) -> Rows:
        """Rows that would miss their bound; once for each length with which they would.

        In prompt tokens: each can bear so many; lost is who can bear those ahead and not these
        too, if the steps he has left are enough to meet them.
        """
        if self._needed_tokens(question) <= self._least_tokens:
            return _NOBODY
        self._seat_newcomers()
        bears, ahead = self._bear(question)
        lost = (bears >= 0) & (bears < question.prefill_tokens)
        if not np.count_nonzero(lost):
            return _NOBODY
        lost &= bears < question.steps.room_tokens * self._pairs[0] - ahead
        return self._rows[lost]

    def _bear(self, question: Question) -> tuple[Numbers, Numbers]:
        """Prompt tokens that each can bear beyond those ahead of him, and those."""
        lacking, budget_s, begun, mark_tokens = self._pairs
        steps = question.steps
        ahead = np.minimum(question.granted_tokens - mark_tokens, steps.backlog_tokens)
        spare_s = budget_s - steps.decode_s * lacking - question.now_s * begun
        return spare_s / steps.prefill_token_s - ahead, ahead

    def join(self, row: int, lengths: Sequence[int], *, mark_tokens: int) -> None:
        """An answer that was let in just now."""
        self._newcomers.append((row, lengths, mark_tokens))
        asked = self._asked
        shortest = min((length for length in lengths if length > 1), default=inf)
        each_s = max(0.0, asked.bound_s - self._slower_s)
        bears = each_s * (shortest - 1) / asked.steps.prefill_token_s
        later_tokens = mark_tokens - asked.granted_tokens
        self._least_tokens = min(self._least_tokens, bears + later_tokens)

    def _seat_newcomers(self) -> None:
        if not self._newcomers:
            return
        rows, lengths, marks = zip(*self._newcomers, strict=True)
        each = len(lengths[0])
        lacking = np.array(lengths, dtype=np.float64).ravel() - 1
        pairs = np.zeros((len(self._pairs), lacking.size))
        pairs[0] = lacking
        pairs[1] = self._asked.bound_s * lacking
        pairs[3] = np.repeat(marks, each)
        self._pairs = np.concatenate((self._pairs, pairs), axis=1)
        self._rows = np.concatenate((self._rows, np.repeat(rows, each)))
        self._newcomers = []
