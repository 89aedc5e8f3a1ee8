"""The answers that a prompt may cost their bound before the next step record.

Until then nobody gains a token; prompts are let in, and a step that only decodes is foreseen to
take a little more or less. So an answer that has far more to spare than the first question asks
for, or has missed its bound by far, need not be looked at again.
"""

from bisect import bisect_right
from collections.abc import Sequence
from math import inf
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from admission.ledger.rows import Rows

Numbers = npt.NDArray[np.float64]

_DRIFT_RATIO = 0.02  # by which a decode step may be foreseen otherwise: dozens of sequences
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
    """Who would miss a bound because of so many prompt tokens more.

    Seconds a token: nobody should come to need more than `planned_s`, unless he has missed
    `bound_s` already. `granted_tokens` were ever let in.
    """

    prefill_tokens: int
    steps: Steps
    planned_s: float
    bound_s: float
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

    `heard_at_s` is the instant of the last step record: what runs since then is one of the steps
    that are still to come.

    Pairs of an answer and a length that it may have, a column each: tokens it lacks, seconds it may
    take as planned, its mark, prompt tokens by which the bound itself is wider.
    """

    def __init__(self, asked: Question, answers: Answers, heard_at_s: float) -> None:
        steps = asked.steps
        self._asked = asked
        drift_s = _DRIFT_RATIO * steps.decode_s
        self._faster_s = steps.decode_s - drift_s
        # not to the bound, or near it nobody could bear anything
        self._slower_s = steps.decode_s + min(drift_s, (asked.planned_s - steps.decode_s) / 2)
        self._leeway_tokens = (asked.bound_s - asked.planned_s) / steps.prefill_token_s
        self._spare_tokens = steps.room_tokens + asked.prefill_tokens
        self._reach_tokens = asked.prefill_tokens + self._spare_tokens
        out, first_at_s, begun, mark_tokens = answers.state
        spent_s = heard_at_s * begun - first_at_s
        near = np.flatnonzero(self._near(answers, spent_s))
        place = near % answers.rows.size
        more = answers.lengths.ravel()[near] - 1
        self._rows = answers.rows[place]
        self._pairs: Numbers = np.array(
            (
                more + 1 - out[place],
                asked.planned_s * more - spent_s[place],
                mark_tokens[place],
                self._leeway_tokens * more,
            )
        )
        self._newcomers: list[tuple[int, Sequence[int], int]] = []
        # what nobody chosen bears less than until there is another choice
        bears, _ = self._bear(asked._replace(steps=steps._replace(decode_s=self._slower_s)))
        self._least_tokens = float(bears.min()) if bears.size else inf

    def _near(self, answers: Answers, spent_s: Numbers) -> npt.NDArray[np.bool_]:
        """Who may come to be at stake, by the shortest and the longest length for which he can."""
        asked, steps = self._asked, self._asked.steps
        out, _, _, mark_tokens = answers.state
        ahead = np.minimum(asked.granted_tokens - mark_tokens, steps.backlog_tokens)
        spent_s = spent_s + steps.prefill_token_s * ahead

        def bearing(tokens: float, each_s: float, decode_s: float) -> Numbers:
            """The lengths with which they can bear so many tokens beyond those ahead."""
            more_s = steps.prefill_token_s * tokens + each_s
            lengths: Numbers = (spent_s - decode_s * out + more_s) / (each_s - decode_s)
            return lengths

        shortest = bearing(-self._spare_tokens, asked.bound_s, self._faster_s)
        near: npt.NDArray[np.bool_] = answers.lengths > np.maximum(out, shortest)
        if self._slower_s < asked.planned_s:
            near &= answers.lengths < bearing(self._reach_tokens, asked.planned_s, self._slower_s)
        return near

    def covers(self, question: Question) -> bool:
        """Whether nobody but the chosen can be at stake in this question."""
        asked, now, then = self._asked, question.steps, self._asked.steps
        return (
            question.planned_s == asked.planned_s
            and question.bound_s == asked.bound_s
            and now.prefill_token_s == then.prefill_token_s
            and self._faster_s <= now.decode_s <= self._slower_s
            and now.backlog_tokens > then.backlog_tokens - self._spare_tokens
            and self._needed_tokens(question) <= self._reach_tokens
        )

    def _needed_tokens(self, question: Question) -> float:
        """What one must have been able to bear at first to lose nothing now."""
        asked = self._asked
        more_ahead_tokens = max(
            question.granted_tokens - asked.granted_tokens,
            question.steps.backlog_tokens - asked.steps.backlog_tokens,
        )
        return more_ahead_tokens + question.prefill_tokens

    def lost(self, question: Question) -> Rows:
        """Rows that would miss their bound; once for each length with which they would.

        In prompt tokens: each can bear so many; lost is who can bear those ahead and not these
        too, if the steps he has left are enough to meet them. Who has used up what is planned
        with, but may still keep his bound, bears nothing more.
        """
        if self._needed_tokens(question) <= self._least_tokens:
            return _NOBODY
        self._seat_newcomers()
        lacking, _, _, leeway_tokens = self._pairs
        bears, ahead = self._bear(question)
        lost: npt.NDArray[np.bool_] = bears >= -leeway_tokens
        lost &= bears < question.prefill_tokens
        if not np.count_nonzero(lost):
            return _NOBODY
        lost &= bears < question.steps.room_tokens * lacking - ahead
        return self._rows[lost]

    def _bear(self, question: Question) -> tuple[Numbers, Numbers]:
        """Prompt tokens that each can bear beyond those ahead of him, and those."""
        lacking, budget_s, mark_tokens, _ = self._pairs
        steps = question.steps
        ahead = np.minimum(question.granted_tokens - mark_tokens, steps.backlog_tokens)
        return (budget_s - steps.decode_s * lacking) / steps.prefill_token_s - ahead, ahead

    def join(self, row: int, lengths: Sequence[int], *, mark_tokens: int) -> None:
        """An answer that was let in just now; `lengths` the shortest first."""
        self._newcomers.append((row, lengths, mark_tokens))
        asked = self._asked
        longer = bisect_right(lengths, 1)  # than one token, which takes no time per token
        shortest = lengths[longer] if longer < len(lengths) else inf
        each_s = max(0.0, asked.planned_s - self._slower_s)
        bears = each_s * (shortest - 1) / asked.steps.prefill_token_s
        later_tokens = mark_tokens - asked.granted_tokens
        self._least_tokens = min(self._least_tokens, bears + later_tokens)

    def _seat_newcomers(self) -> None:
        if not self._newcomers:
            return
        rows, lengths, marks = zip(*self._newcomers, strict=True)
        each = len(lengths[0])
        more = np.array(lengths, dtype=np.float64).ravel() - 1
        planned_s = self._asked.planned_s * more
        pairs = np.array((more, planned_s, np.repeat(marks, each), self._leeway_tokens * more))
        self._pairs = np.concatenate((self._pairs, pairs), axis=1)
        self._rows = np.concatenate((self._rows, np.repeat(rows, each)))
        self._newcomers = []
