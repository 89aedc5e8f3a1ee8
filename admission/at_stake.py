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
    """All answers, a column each; of `lengths` each has several equally likely ones.

    `first_at_s` is inf before the first token. `mark_tokens` is what was granted up to its own
    prompt, -inf once it has begun: then it is slowed by all.
    """

    lengths: Numbers
    out: Numbers
    first_at_s: Numbers
    mark_tokens: Numbers


class AtStake:
    """Chosen for one question; good for all that it `covers` while nobody gains a token.

    Pairs of an answer and a length that it may have, a column each: its place, the tokens it lacks,
    the seconds it may take, whether they run already, its mark.
    """

    def __init__(self, asked: Question, answers: Answers) -> None:
        steps = asked.steps
        self._asked = asked
        self._spare_tokens = steps.room_tokens + _STEPS * steps.decode_s / steps.prefill_token_s
        self._reach_tokens = asked.prefill_tokens + self._spare_tokens
        part, place = self._near(answers).nonzero()
        length, first_at_s = answers.lengths[part, place], answers.first_at_s[place]
        begun = first_at_s < inf
        budget_s = asked.bound_s * (length - 1) + np.where(begun, first_at_s, 0.0)
        lacking = length - answers.out[place]
        self._pairs = np.array((place, lacking, budget_s, begun, answers.mark_tokens[place]))

    def _near(self, answers: Answers) -> npt.NDArray[np.bool_]:
        """Who may come to be at stake, by the shortest and the longest length for which he can."""
        (_, steps, bound_s, now_s, granted_tokens), out = self._asked, answers.out
        waited_s = np.maximum(0.0, now_s - answers.first_at_s)
        ahead = np.minimum(granted_tokens - answers.mark_tokens, steps.backlog_tokens)

        def bearing(tokens: float, decode_s: float) -> Numbers:
            """The lengths with which they can bear so many tokens beyond those ahead."""
            prompts_s = steps.prefill_token_s * (ahead + tokens)
            return (waited_s + bound_s - decode_s * out + prompts_s) / (bound_s - decode_s)

        shortest = bearing(-self._spare_tokens, steps.decode_s * (1 - _DRIFT_RATIO))
        near: npt.NDArray[np.bool_] = answers.lengths > np.maximum(out, shortest)
        slower_s = steps.decode_s * (1 + _DRIFT_RATIO)
        if slower_s < bound_s:
            near &= answers.lengths < bearing(self._reach_tokens, slower_s)
        return near

    def covers(self, question: Question) -> bool:
        """Whether nobody but the chosen can be at stake in this question."""
        asked, steps = self._asked, question.steps
        token_s, decode_s = asked.steps.prefill_token_s, asked.steps.decode_s
        passed_s = question.now_s - asked.now_s
        granted_tokens = question.granted_tokens - asked.granted_tokens
        return (
            question.bound_s == asked.bound_s
            and steps.prefill_token_s == token_s
            and abs(steps.decode_s - decode_s) <= _DRIFT_RATIO * decode_s
            and steps.backlog_tokens > asked.steps.backlog_tokens - self._spare_tokens
            and passed_s >= 0
            and passed_s / token_s + granted_tokens + question.prefill_tokens <= self._reach_tokens
        )

    def lost(self, question: Question) -> Rows:
        """Places of those who would miss their bound; once for each length with which they would.

        In prompt tokens: each can bear so many; lost is who can bear those ahead and not these
        too, if the steps he has left are enough to meet them.
        """
        place, lacking, budget_s, begun, mark_tokens = self._pairs
        tokens, steps, _, now_s, granted_tokens = question
        ahead = np.minimum(granted_tokens - mark_tokens, steps.backlog_tokens)
        spare_s = budget_s - steps.decode_s * lacking - now_s * begun
        bears = spare_s / steps.prefill_token_s - ahead
        lost = (bears >= 0) & (bears < tokens)
        if not np.count_nonzero(lost):
            return _NOBODY
        lost &= bears < steps.room_tokens * lacking - ahead
        return place[lost].astype(np.int64)

    def join(self, place: int, lengths: Sequence[int], *, mark_tokens: int) -> None:
        """An answer that was let in just now."""
        newcomer = np.empty((len(self._pairs), len(lengths)))
        newcomer[0], newcomer[3], newcomer[4] = place, False, mark_tokens
        newcomer[1] = lengths
        newcomer[1] -= 1
        newcomer[2] = self._asked.bound_s * newcomer[1]
        self._pairs = np.concatenate((self._pairs, newcomer), axis=1)

    def leave(self, place: int) -> None:
        """The answer is over."""
        places, _, budget_s, _, _ = self._pairs
        budget_s[places == place] = -inf  # lost already
