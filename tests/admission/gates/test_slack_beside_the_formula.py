"""Slack works out all answers and lengths at once; one by one the formula gives the same.

Events come in any order. Where a number of tokens lies on the edge of what an answer can bear,
rounding decides and nothing is compared.
"""

import random

import numpy as np
import pytest

from admission.gates.slack import PARTS, Slack, StepCosts
from admission.ledger.rows import place_of

BOUND_S = 0.2
PLANNED_S = (0.2, 0.2, 0.2, 0.18)
CROWD = 20  # answers at first: a close question for somebody
EVENTS = 60
LONGEST = 60
EDGE_TOKENS = 1e-6
PLACES = 1 << 24  # a row's place used again: that much further


class Answer:
    """One answer, and what it makes of a question."""

    def __init__(self, lengths: list[int], mark_tokens: int) -> None:
        self.lengths, self.mark_tokens = lengths, mark_tokens
        self.out = 0
        self.first_at_s: float | None = None

    def lost(
        self,
        tokens: int,
        steps: StepCosts,
        granted_tokens: int,
        planned_s: float,
        heard_at_s: float,
    ) -> tuple[float, bool]:
        """The share of it that is lost, and whether rounding decides."""
        ahead, waited_s, out = steps.backlog_tokens, 0.0, max(1, self.out)
        if self.first_at_s is None:
            ahead = min(ahead, granted_tokens - self.mark_tokens)
        else:
            waited_s = heard_at_s - self.first_at_s
        lost, edge, possible = 0, False, [each for each in self.lengths if each > out]
        for length in possible:
            lacking = length - out
            spare_s = planned_s * (length - 1) - waited_s - steps.decode_s * lacking
            bears = spare_s / steps.prefill_token_s - ahead
            bears_at_all = bears + (BOUND_S - planned_s) * (length - 1) / steps.prefill_token_s
            met = min(tokens, steps.room_tokens * lacking - ahead)
            lost += bears_at_all >= 0 and bears < met
            edge |= min(abs(bears_at_all), abs(bears - met)) < EDGE_TOKENS
        return lost / max(1, len(possible)), edge


class Beside:
    """Slack and all answers as they are, through the same events."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.slack = Slack()
        self.answers: dict[int, Answer] = {}
        self.free: list[int] = []
        self.places = 0
        self.granted_tokens = 0
        self.now_s = self.heard_at_s = 0.0
        self.compared = 0
        for _ in range(CROWD):
            self.let_in()
        self.step(most=1)
        self.step(most=LONGEST // 2)

    def lengths(self) -> list[int]:
        return sorted(self.random.choices(range(1, LONGEST), k=PARTS))

    def let_in(self) -> None:
        tokens = self.random.randint(0, 400)
        self.granted_tokens += tokens
        row = self.free.pop() if self.free else PLACES + self.places
        self.places = max(self.places, place_of(row) + 1)
        self.answers[row] = Answer(self.lengths(), self.granted_tokens)
        self.slack.let_in(tokens)
        self.slack.begin(row, self.answers[row].lengths)

    def end(self) -> None:
        if self.answers:
            row = self.random.choice(list(self.answers))
            del self.answers[row]
            self.slack.end(row)
            self.free.append(row + PLACES)

    def expect(self) -> None:
        if self.answers:
            row, answer = self.random.choice(list(self.answers.items()))
            answer.lengths = self.lengths()
            self.slack.expect(row, answer.lengths)

    def step(self, most: int = 2) -> None:
        self.pass_time()
        for answer in self.answers.values():
            answer.out += self.random.randint(0, most)
            if answer.out and answer.first_at_s is None:
                answer.first_at_s = self.now_s
        rows = np.array(list(self.answers), dtype=np.int64)
        out = np.array([answer.out for answer in self.answers.values()], dtype=np.int64)
        self.slack.progress(rows, out, self.now_s)
        self.heard_at_s = self.now_s

    def pass_time(self) -> None:
        self.now_s += self.random.uniform(0.0, 0.3)

    def ask(self) -> None:
        """Mostly alike, so that what was found for one question serves the next."""
        planned_s = self.random.choice(PLANNED_S)
        nearly = [0.99 * planned_s, 0.995 * planned_s, planned_s]
        steps = StepCosts(
            decode_s=self.random.choice([0.05, 0.05, 0.0505, 0.0495, 0.06, *nearly]),
            prefill_token_s=self.random.choice([0.001, 0.001, 0.001, 0.0004]),
            room_tokens=self.random.choice([500, 500, 1]),
            backlog_tokens=self.random.choice([0, 100, 300, 900]),
        )
        tokens = self.random.choice([0, 50, 200, 600, 1500])
        told = self.slack.lost_by(tokens, steps, planned_s=planned_s, bound_s=BOUND_S)
        found = [
            answer.lost(tokens, steps, self.granted_tokens, planned_s, self.heard_at_s)
            for answer in self.answers.values()
        ]
        if not any(edge for _, edge in found):
            self.compared += 1
            assert told == pytest.approx(sum(lost for lost, _ in found))


@pytest.mark.parametrize("seed", range(40))
def test_any_order_of_events_and_questions(seed: int) -> None:
    play = Beside(seed)
    events = (play.let_in, play.end, play.expect, play.step, play.pass_time, play.ask)
    for event in play.random.choices(events, weights=(3, 2, 1, 2, 3, 12), k=EVENTS):
        event()
    assert play.compared > EVENTS // 10


def test_a_backlog_that_grows_without_anybody_let_in_counts() -> None:
    slack = Slack()
    slack.begin(1, [11] * PARTS)  # bears 1,500 tokens
    slack.progress(np.array([1]), np.array([1]), 0.0)
    idle = StepCosts(0.05, 0.001, room_tokens=500, backlog_tokens=0)
    assert slack.lost_by(0, idle, planned_s=BOUND_S, bound_s=BOUND_S) == 0
    busy = idle._replace(backlog_tokens=1400)
    assert slack.lost_by(200, busy, planned_s=BOUND_S, bound_s=BOUND_S) == 1
