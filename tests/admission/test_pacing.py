"""Prompts beside running answers on a tiny engine: which of them keep their TPOT bound."""

import random
from dataclasses import replace

import pytest

from admission.speed.linear_steps import StepCoefficients
from admission.terms.settings import Settings
from tests.admission.examples import engine
from tests.admission.tiny_engine import Sequence
from tests.admission.traffic import Job, Traffic

BOUND_S = 0.06
ROOMY = engine(
    usable_blocks=10_000, max_sequences=64, max_model_len=4_096, lookahead_tokens=1
)  # a step of 512 prompt tokens takes 0.22 s, one that decodes about 0.03
TINY_STEPS = StepCoefficients(0.02, 0.0004, 0.0003, 0.0)


class Timed(Traffic):
    """Traffic that notes when each answer begins and ends."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(ROOMY, settings)
        self.controller.know_step_times(TINY_STEPS)
        self.first_at_s: dict[Sequence, float] = {}
        self.last_at_s: dict[Sequence, float] = {}
        self.most_at_once = 0

    def advance(self) -> None:
        super().advance()
        self.most_at_once = max(self.most_at_once, self.controller.ledger.sequences)
        for visit in self.visits:
            for sequence in visit.sequences:
                if sequence.generated:
                    self.first_at_s.setdefault(sequence, self.now_s)
                if sequence.generated == sequence.output_tokens:
                    self.last_at_s.setdefault(sequence, self.now_s)

    def slowed_ratio(self) -> float:
        """Share of the answers that took longer per token than the bound."""
        slowed = [
            last_at_s - self.first_at_s[each] > BOUND_S * (each.output_tokens - 1)
            for each, last_at_s in self.last_at_s.items()
            if each.output_tokens > 1
        ]
        return sum(slowed) / len(slowed)


def mixed(seed: int, *, known: bool = True) -> list[Job]:
    """Short and long prompts, short and long answers, about as many as the engine can serve."""
    chance = random.Random(seed)
    jobs, step = [], 0
    for _ in range(100):
        step += chance.randint(0, 10)
        output = chance.choice([8, 20, 60, 150])
        prompt = chance.choice([20, 200, 600, 1500])
        jobs.append(Job(step, (prompt,), output, max_tokens=None if known else 400))
    return jobs


def slowed(jobs: list[Job], settings: Settings) -> float:
    traffic = Timed(settings)
    traffic.run(jobs)
    assert traffic.outcomes["served"] == len(jobs)
    return traffic.slowed_ratio()


@pytest.mark.parametrize("seed", range(2))
def test_with_known_lengths_and_step_times_hardly_anybody_is_slowed(seed: int) -> None:
    assert slowed(mixed(seed), Settings(tpot_target_s=BOUND_S)) <= 0.02
    assert slowed(mixed(seed), Settings()) > 0.1


@pytest.mark.parametrize("seed", range(2))
def test_with_learned_lengths_few_are_slowed(seed: int) -> None:
    assert slowed(mixed(seed, known=False), Settings(tpot_target_s=BOUND_S)) < 0.1


def test_newcomers_come_in_while_a_step_takes_nearly_what_is_allowed() -> None:
    alike = [Job(step, (20,), 400) for step in range(0, 40, 5)]
    traffic = Timed(Settings(tpot_target_s=0.0225))  # a step of seven takes 0.0221 s
    traffic.run(alike)
    assert traffic.outcomes["served"] == len(alike)
    assert traffic.most_at_once == 7
    assert traffic.slowed_ratio() == 0.0


def test_memory_without_end_changes_nothing_where_memory_does_not_bind() -> None:
    orders = []
    for blocks in (10_000, 10_000_000):
        traffic = Traffic(
            replace(ROOMY, usable_blocks=blocks),
            Settings(tpot_target_s=BOUND_S),
        )
        traffic.controller.know_step_times(TINY_STEPS)
        traffic.run(mixed(1))
        orders.append([visit.accepted_at_step for visit in traffic.visits])
    assert orders[0] == orders[1]
