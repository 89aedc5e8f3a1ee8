"""Slack remembers who may be at stake between two records; the plain formula says the same."""

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from admission.at_stake import Steps
from admission.slack import PARTS, Slack

BOUND_S = 0.2
EDGE = 1e-6  # prompt tokens; closer than that it is a matter of rounding

LENGTHS = st.lists(st.integers(1, 60), min_size=PARTS, max_size=PARTS).map(sorted)
STEPS = st.builds(
    Steps,
    decode_s=st.sampled_from([0.05, 0.0501, 0.0509, 0.0511, 0.1, 0.199, 0.2]),
    prefill_token_s=st.sampled_from([0.001, 0.001, 0.001, 0.0004]),
    room_tokens=st.sampled_from([1, 200, 500]),
    backlog_tokens=st.integers(0, 2000),
)


class _Answer:
    def __init__(self, lengths: list[int], mark_tokens: int) -> None:
        self.lengths, self.mark_tokens = lengths, mark_tokens
        self.out, self.first_at_s = 1, None

    first_at_s: float | None

    def lost(
        self, tokens: int, steps: Steps, granted_tokens: int, now_s: float
    ) -> tuple[float, bool]:
        """How many of it are lost, and whether rounding decides."""
        ahead = steps.backlog_tokens
        if self.first_at_s is None:
            ahead = min(ahead, granted_tokens - self.mark_tokens)
        elapsed_s = 0.0 if self.first_at_s is None else now_s - self.first_at_s
        lost, edge, possible = 0, False, [each for each in self.lengths if each > self.out]
        for length in possible:
            lacking = length - self.out
            spare_s = BOUND_S * (length - 1) - elapsed_s - steps.decode_s * lacking
            bears = spare_s / steps.prefill_token_s - ahead
            met = min(tokens, steps.room_tokens * lacking - ahead)
            lost += 0 <= bears < met
            edge |= min(abs(bears), abs(bears - met)) < EDGE
        return lost / max(1, len(possible)), edge


class SlackBesideThePlainFormula(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.slack = Slack()
        self.answers: dict[int, _Answer] = {}
        self.granted_tokens = 0
        self.now_s = 0.0
        self.places = 0
        self.free: list[int] = []

    @rule(tokens=st.integers(0, 800), lengths=LENGTHS)
    def let_in(self, tokens: int, lengths: list[int]) -> None:
        self.granted_tokens += tokens
        self.slack.let_in(tokens)
        if not self.free:
            self.places += 1
            self.free.append((1 << 24) + self.places - 1)
        row = self.free.pop()
        self.slack.begin(row, lengths)
        self.answers[row] = _Answer(lengths, self.granted_tokens)

    @precondition(lambda self: self.answers)
    @rule(choice=st.integers(0, 99))
    def end(self, choice: int) -> None:
        row = sorted(self.answers)[choice % len(self.answers)]
        self.slack.end(row)
        del self.answers[row]
        self.free.append(row + (1 << 24))

    @precondition(lambda self: self.answers)
    @rule(choice=st.integers(0, 99), lengths=LENGTHS)
    def expect(self, choice: int, lengths: list[int]) -> None:
        row = sorted(self.answers)[choice % len(self.answers)]
        self.slack.expect(row, lengths)
        self.answers[row].lengths = lengths

    @rule(elapsed_s=st.floats(0.0, 0.5), gains=st.lists(st.integers(0, 2), min_size=1))
    def step(self, elapsed_s: float, gains: list[int]) -> None:
        self.now_s += elapsed_s
        rows = sorted(self.answers)
        out = []
        for place, row in enumerate(rows):
            answer, gain = self.answers[row], gains[place % len(gains)]
            if answer.first_at_s is None:
                out.append(gain)
                if gain:
                    answer.out, answer.first_at_s = gain, self.now_s
            else:
                answer.out += gain
                out.append(answer.out)
        self.slack.progress(
            np.array(rows, dtype=np.int64), np.array(out, dtype=np.int64), self.now_s
        )

    @rule(elapsed_s=st.floats(0.0, 0.5))
    def time_passes(self, elapsed_s: float) -> None:
        self.now_s += elapsed_s

    @rule(tokens=st.integers(0, 3000), steps=STEPS)
    def ask(self, tokens: int, steps: Steps) -> None:
        told = self.slack.lost_by(tokens, steps, bound_s=BOUND_S, now_s=self.now_s)
        expected, edge = 0.0, False
        for answer in self.answers.values():
            lost, on_edge = answer.lost(tokens, steps, self.granted_tokens, self.now_s)
            expected, edge = expected + lost, edge or on_edge
        assert edge or told == pytest.approx(expected)


TestSlack = SlackBesideThePlainFormula.TestCase
TestSlack.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
