"""How long admission takes: `offer` + `release`, and a step record that advances 1,000 leases.

The latter also with lengths that are learned. All with 10,000 requests in line and the garbage
collector on. `wall` is what a caller waits,
`own` the thread's CPU time: on a busy machine they differ by what other processes took.

    .venv/bin/python -m tests.bench.admission --rounds 100000
"""

import argparse
import os
import random
import time
import timeit
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from admission.controller import Controller
from admission.decision import Accepted, Decision, Priority, Queued
from admission.exchange import Offer, StepRecord, Turn
from admission.footprint import EngineShape, PromptShape, RequestShape
from admission.settings import Settings
from admission.step_line import StepCoefficients

LEASES = 1_000
QUEUED = 10_000
TENANTS = 50
FOREVER_S = 1e9

# Qwen3-32B on eight A10s, with slots for the leases of the goal
ENGINE = EngineShape(
    usable_blocks=34_815,
    block_tokens=16,
    max_sequences=LEASES,
    max_model_len=32_768,
    max_batched_tokens=2_048,
    prefix_caching=True,
    lookahead_tokens=1,
)
SETTINGS = Settings(
    line_max_requests=2 * QUEUED,
    line_max_requests_per_tenant=2 * QUEUED,
    line_max_tokens=10**9,
    prefill_backlog_max_tokens=10**9,  # all leases are granted before the engine's first step
    tpot_target_s=10.0,  # worked out for every offer, never in the way
)
LEARNED_LIMIT_TOKENS = 1_024
LESSONS = 3_000  # 60 of each tenant
STEP = StepCoefficients(0.02, 1e-6, 1e-4, 1e-9)

Measured = tuple[list[int], list[int]]  # wall and own, nanoseconds


class Load:
    """A full engine with a full line behind it, kept full.

    Lengths are known, or `learned`: log-normal with a median of 245 tokens.
    """

    def __init__(self, *, leases: int, sequences_in_line: int = 1, learned: bool = False) -> None:
        self.random = random.Random(1)
        self.sequences_in_line = sequences_in_line
        self.learned = learned
        self.controller = Controller(ENGINE, SETTINGS)
        self.controller.know_step_times(STEP)
        self.now_s = 0.0
        self.lease_of: dict[int, int] = {}
        self.limit_of: dict[int, int] = {}
        self.rows, self.tokens, self.limits = (np.empty(0, dtype=np.int64) for _ in range(3))
        for _ in range(LESSONS if learned else 0):
            (keys,) = self.controller.quote(self.request()).keys
            self.controller.lengths.learn(keys, self.answer())
        while len(self.rows) < leases:
            self.start([self.controller.offer(self.request(), self.now_s).decision])
        self.controller.ledger.prefilled(10**9)
        self.fill()

    def request(self, priority: Priority = Priority.NORMAL, sequences: int = 1) -> Offer:
        """Prompts of 30-300 tokens, answers of 100-500."""
        limit = LEARNED_LIMIT_TOKENS if self.learned else self.random.randint(100, 500)
        prompt = PromptShape(self.random.randint(30, 300), limit)
        tenant = f"tenant-{self.random.randrange(TENANTS)}"
        shape = RequestShape((prompt,), sequences=sequences, ignore_eos=not self.learned)
        return Offer(tenant, priority, shape, self.now_s, self.now_s + FOREVER_S)

    def answer(self) -> int:
        """The length of an answer that nobody is told."""
        return min(LEARNED_LIMIT_TOKENS, 1 + int(self.random.lognormvariate(5.5, 0.8)))

    def start(self, decisions: Sequence[Decision]) -> None:
        """Rows of granted leases begin to run."""
        rows = []
        for decision in decisions:
            assert isinstance(decision, Accepted), decision
            (row,) = self.controller.rows_of(decision.lease_id)
            self.lease_of[row] = decision.lease_id
            rows.append(row)
        known = self.controller.ledger.predicted_tokens
        limits = [self.answer() if self.learned else known(row) for row in rows]
        self.limit_of.update(zip(rows, limits, strict=True))
        self.rows = np.append(self.rows, rows).astype(np.int64)
        self.tokens = np.append(self.tokens, [0] * len(rows)).astype(np.int64)
        self.limits = np.append(self.limits, limits).astype(np.int64)

    def step(self) -> tuple[int, ...]:
        """Everybody gains a token; returns the rows that ended."""
        self.now_s += 0.1
        self.tokens = self.tokens + 1
        runs = self.tokens < self.limits
        ended = tuple(self.rows[~runs].tolist())
        self.rows, self.tokens, self.limits = (
            column[runs] for column in (self.rows, self.tokens, self.limits)
        )
        return ended

    def fill(self) -> None:
        """Refill the line."""
        while len(self.controller.line) < QUEUED:
            offer = self.request(sequences=self.sequences_in_line)
            decision = self.controller.offer(offer, self.now_s).decision
            if isinstance(decision, Accepted):
                self.start([decision])


def measure(call: Callable[[], object]) -> tuple[int, int]:
    """Wall and own nanoseconds of one call."""
    own, wall = time.thread_time_ns(), time.perf_counter_ns()
    call()
    return time.perf_counter_ns() - wall, time.thread_time_ns() - own


def offers_queued(rounds: int) -> Measured:
    """Everything is taken: the newcomer joins the line and leaves it again."""
    load, times = Load(leases=LEASES), []
    controller = load.controller
    for _ in range(rounds):
        offer = load.request()

        def round_trip(offer: Offer = offer) -> None:
            answer = controller.offer(offer, load.now_s)
            assert isinstance(answer.decision, Queued)
            assert answer.ticket_id is not None
            controller.leave_line(answer.ticket_id)

        times.append(measure(round_trip))
    return _columns(times)


def offers_accepted(rounds: int) -> Measured:
    """A higher class takes the last slot; the line, which waits for two, is looked at again."""
    load, times = Load(leases=LEASES - 1, sequences_in_line=2), []
    controller = load.controller
    for _ in range(rounds):
        offer = load.request(Priority.HIGH)

        def round_trip(offer: Offer = offer) -> None:
            decision = controller.offer(offer, load.now_s).decision
            assert isinstance(decision, Accepted)
            controller.release(decision.lease_id, load.now_s, in_engine=False)

        times.append(measure(round_trip))
    return _columns(times)


def step_records(rounds: int, *, learned: bool = False) -> Measured:
    """Every lease gains a token; about three end, and the line moves up."""
    load, times = Load(leases=LEASES, learned=learned), []
    controller = load.controller
    for _ in range(rounds):
        ended = load.step()
        record = StepRecord(
            load.rows,
            load.tokens,
            prefill_tokens=1_000,
            decode_tokens=LEASES,
            elapsed_s=0.1,
            ended=ended,
        )
        turns: list[Turn] = []

        def advance(record: StepRecord = record, turns: list[Turn] = turns) -> None:
            turns += controller.progress(record, load.now_s)

        times.append(measure(advance))
        for row in ended:
            lease = load.lease_of.pop(row)
            controller.learn(lease, row, load.limit_of.pop(row))
            turns += controller.release(lease, load.now_s, in_engine=True)
        load.start([turn.decision for turn in turns])
        load.fill()
    return _columns(times)


def _columns(times: list[tuple[int, int]]) -> Measured:
    return [wall for wall, _ in times], [own for _, own in times]


def busyness() -> str:
    """What the machine makes of a fixed piece of work now."""
    took_us = min(timeit.repeat("sum(range(1000))", number=100, repeat=20)) * 1e4
    return f"sum(range(1000)) takes {took_us:.0f} us, load {os.getloadavg()[0]:.1f}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=100_000)
    rounds = parser.parse_args().rounds
    print(f"{rounds} rounds, {QUEUED} in line, {LEASES} leases, garbage collector on, us")
    print(busyness())
    print(f"{'':34}{'p50':>8}{'p99':>8}{'p99.9':>8}{'worst':>9}")
    for name, run in (
        ("offer + leave_line (queued)", offers_queued),
        ("offer + release (accepted)", offers_accepted),
        ("step record, 1,000 leases", step_records),
        ("the same, lengths learned", partial(step_records, learned=True)),
    ):
        for clock, values in zip(("wall", "own"), run(rounds), strict=True):
            shown = np.percentile(np.array(values) / 1e3, [50, 99, 99.9, 100])
            print(f"{name:28}{clock:6}" + "".join(f"{x:8.0f}" for x in shown))
    print(busyness())


if __name__ == "__main__":
    main()
