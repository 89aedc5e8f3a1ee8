"""How long admission takes: `offer`, `release`, and a step record that advances 1,000 leases.

`first look` is the first offer after a step record.
Promises are drawn when they are needed: an accepted offer leaves that to the next queued one,
`queued, first`, or to the next step record, `record after offers`. `look past the head` is one
request tried behind a head that waits for blocks.

All with 10,000 queued requests, answers of unknown length and the garbage collector on, without
and with a bound on the time per token, in turns of some rounds each, so that all see the machine
alike. `own` is the thread's CPU time, `wall` what a caller waits: on a busy machine they differ by
what other processes took. The last line is what the machine made of a fixed piece of work.

    .venv/bin/python -m tests.bench.admission --rounds 20000
    .venv/bin/python -m tests.bench.admission --leases 256 --queued 1000
"""

import argparse
import math
import os
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TypeVar

import numpy as np

from admission.controller import Controller
from admission.exchange import Answer, StepRecord, Turn
from admission.price.footprint import EngineShape, PromptShape, RequestShape
from admission.price.lengths import class_keys
from admission.price.offer import Offer
from admission.speed.linear_steps import StepCoefficients
from admission.terms.decision import Accepted, Decision, Priority, Queued
from admission.terms.settings import Settings

LEASES = 1_000
TENANTS = 50
LESSONS = 4_000  # answers that ended before
WARM_UP_STEPS = 500  # as long as an answer
FOREVER_S = 1e9
MANY = 64  # sequences; so many places are never free at once
ROUNDS_IN_TURN = 50

# Qwen3-32B on eight A10s, with slots and blocks for the leases of the goal
ENGINE = EngineShape(
    usable_blocks=60_000,
    block_tokens=16,
    max_sequences=LEASES,
    max_model_len=32_768,
    max_batched_tokens=2_048,
    prefix_caching=True,
    lookahead_tokens=1,
)
SETTINGS = Settings(
    queue_max_requests=10**6,
    queue_max_requests_per_tenant=10**6,
    queue_max_tokens=10**9,
    prefill_backlog_max_tokens=10**9,  # all leases are granted before the engine's first step
)
# a step of 1,000 sequences takes 0.09 s, and 10 ms more for a thousand prompt tokens
STEP = StepCoefficients(0.02, 1e-5, 7e-5, 0.0)
# what steps with three prompts just keep: answers about to end bear a few more and no more
TARGET_S = 0.096 / 0.9
TARGETS = {"without a TPOT target": None, "with one": TARGET_S}

T = TypeVar("T")
Times = tuple[int, int]  # own and wall, nanoseconds
Rounds = Iterator[tuple[str, Times]]


@dataclass(frozen=True)
class Size:
    """Sequences that run, and requests that wait."""

    leases: int
    queued: int


FULL = Size(leases=LEASES, queued=10_000)


class Load:
    """A full engine in the middle of its work, with a full line behind it, kept full."""

    def __init__(
        self, tpot_target_s: float | None, size: Size = FULL, *, sequences_in_queue: int = 1
    ) -> None:
        self.random = random.Random(1)
        self.size = size
        self.sequences_in_queue = sequences_in_queue
        self.controller = Controller(replace(ENGINE, max_sequences=size.leases), SETTINGS)
        self.now_s = 0.0
        self.lease_of: dict[int, int] = {}
        self.rows, self.tokens, self.limits = (np.empty(0, dtype=np.int64) for _ in range(3))
        self._teach()
        self._warm_up(size.leases)
        self.controller.know_step_times(STEP)
        self.controller.reconfigure(replace(SETTINGS, tpot_target_s=tpot_target_s))
        self.fill()

    def _teach(self) -> None:
        for _ in range(LESSONS):
            offer = self.request()
            (prompt,) = offer.shape.prompts
            keys = class_keys(offer.tenant, prompt.prompt_tokens, prompt.max_tokens)
            self.controller.lengths.learn(keys, self.length())

    def _warm_up(self, leases: int) -> None:
        """Until answers stand at every point of their way."""
        for _ in range(WARM_UP_STEPS):
            self._start_until(leases)
            ended = self.grow()
            self.controller.progress(self.record(ended), self.now_s)
            for row in ended:
                self.finish(row)
        self._start_until(leases)

    def _start_until(self, leases: int) -> None:
        while len(self.rows) < leases:
            self.start([self.controller.offer(self.request(), self.now_s).decision])

    def request(self, priority: Priority = Priority.NORMAL, sequences: int = 1) -> Offer:
        """Prompts of 30-300 tokens, answers of nobody knows how many."""
        prompt = PromptShape(self.random.randint(30, 300), 1_000)
        tenant = f"tenant-{self.random.randrange(TENANTS)}"
        shape = RequestShape((prompt,), sequences=sequences)
        return Offer(tenant, priority, shape, self.now_s, self.now_s + FOREVER_S)

    def too_large(self) -> Offer:
        """Of long prompts, as many as take all blocks that are free in the end and a tenth more."""
        free = self.controller.headroom.block_limit - self.controller.ledger.curve.peak()
        prompt = PromptShape(ENGINE.max_model_len // 2, 1_000)
        blocks = ENGINE.max_model_len // 2 // ENGINE.block_tokens
        shape = RequestShape((prompt,) * math.ceil(1.1 * free / blocks))
        return Offer("tenant-0", Priority.NORMAL, shape, self.now_s, self.now_s + FOREVER_S)

    def take_places(self) -> None:
        """A higher class takes what is free."""
        while len(self.rows) < self.size.leases:
            answer = self.controller.offer(self.request(Priority.HIGH), self.now_s)
            if answer.ticket_id is not None:
                self.controller.leave_queue(answer.ticket_id)
                break
            self.start([answer.decision])

    def length(self) -> int:
        """Of an answer: 100-500 tokens."""
        return self.random.randint(100, 500)

    def start(self, decisions: Sequence[Decision]) -> None:
        """Rows of granted leases begin to run."""
        rows = []
        for decision in decisions:
            assert isinstance(decision, Accepted), decision
            (row,) = self.controller.rows_of(decision.lease_id)
            self.lease_of[row] = decision.lease_id
            rows.append(row)
        self.rows = np.append(self.rows, rows).astype(np.int64)
        self.tokens = np.append(self.tokens, [0] * len(rows)).astype(np.int64)
        self.limits = np.append(self.limits, [self.length() for _ in rows]).astype(np.int64)

    def grow(self) -> tuple[int, ...]:
        """Everybody gains a token, all prompts are computed; returns the rows that ended."""
        self.prompt_tokens = self.controller.ledger.backlog_tokens
        self.step_s = STEP.seconds(
            prefill_tokens=self.prompt_tokens, decode_sequences=len(self.rows), context_tokens=0
        )
        self.now_s += self.step_s
        self.tokens = self.tokens + 1
        runs = self.tokens < self.limits
        ended = tuple(self.rows[~runs].tolist())
        self.rows, self.tokens, self.limits = (
            column[runs] for column in (self.rows, self.tokens, self.limits)
        )
        return ended

    def record(self, ended: tuple[int, ...]) -> StepRecord:
        """What the engine says of that step."""
        return StepRecord(
            self.rows,
            self.tokens,
            prefill_tokens=self.prompt_tokens,
            decode_tokens=len(self.rows),
            elapsed_s=self.step_s,
            ended=ended,
        )

    def finish(self, row: int) -> list[Turn]:
        """An answer that ended is given back."""
        lease_id = self.lease_of.pop(row)
        self.controller.learn(lease_id, row, self.length())
        return self.controller.release(lease_id, self.now_s, in_engine=True)

    def fill(self) -> None:
        """Refill the queue."""
        while len(self.controller.queue) < self.size.queued:
            offer = self.request(sequences=self.sequences_in_queue)
            decision = self.controller.offer(offer, self.now_s).decision
            if isinstance(decision, Accepted):
                self.start([decision])


def measured(call: Callable[[], T]) -> tuple[T, Times]:
    """What a call returns, and what it took."""
    own, wall = time.thread_time_ns(), time.perf_counter_ns()
    result = call()
    return result, (time.thread_time_ns() - own, time.perf_counter_ns() - wall)


def offers_queued(tpot_target_s: float | None, size: Size) -> Rounds:
    """Everything is taken: the newcomer joins the queue and leaves it again."""
    load = Load(tpot_target_s, size)
    while True:
        answer, taken = _offered(load, Priority.NORMAL)
        assert isinstance(answer.decision, Queued)
        yield "offer, queued", taken
        yield "leave_queue", _left(load, answer)


def offers_accepted(tpot_target_s: float | None, size: Size) -> Rounds:
    """A higher class takes the places of those who end; the queue waits for many at once."""
    load = Load(tpot_target_s, size, sequences_in_queue=MANY)
    while True:
        ended = load.grow()
        record = load.record(ended)
        _, taken = measured(lambda: load.controller.progress(record, load.now_s))  # noqa: B023
        yield "record after offers", taken
        for row in ended:
            _, taken = measured(lambda: load.finish(row))  # noqa: B023
            yield "release", taken
        name = "offer, first look"
        while len(load.rows) < size.leases:
            answer, taken = _offered(load, Priority.HIGH)
            yield name, taken
            if isinstance(answer.decision, Queued):
                _left(load, answer)
                break
            load.start([answer.decision])
            name = "offer, next ones"


def looks_past(tpot_target_s: float | None, size: Size) -> Rounds:
    """A small request that fits is tried behind a head that waits for blocks, as it would be."""
    load = Load(tpot_target_s, size, sequences_in_queue=MANY)
    headroom = load.controller.headroom
    while True:
        ended = load.grow()
        load.controller.progress(load.record(ended), load.now_s)
        for row in ended:
            load.finish(row)
        head = load.controller.quote(load.too_large()).price
        start_steps = headroom.start_steps(head, Priority.NORMAL)
        small = load.controller.quote(load.request(Priority.HIGH)).price
        _, taken = measured(
            lambda: headroom.fit_before(
                small,  # noqa: B023
                Priority.HIGH,
                head=head,  # noqa: B023
                of=Priority.NORMAL,
                start_steps=start_steps,  # noqa: B023
            )
        )
        yield "look past the head", taken
        load.take_places()


def _offered(load: Load, priority: Priority) -> tuple[Answer, Times]:
    offer = load.request(priority)
    return measured(lambda: load.controller.offer(offer, load.now_s))


def _left(load: Load, answer: Answer) -> Times:
    ticket_id = answer.ticket_id
    assert ticket_id is not None
    return measured(lambda: load.controller.leave_queue(ticket_id))[1]


def step_records(tpot_target_s: float | None, size: Size) -> Rounds:
    """Every lease gains a token; about three end, and the queue moves up."""
    load = Load(tpot_target_s, size)
    while True:
        ended = load.grow()
        record = load.record(ended)
        turns, taken = measured(lambda: load.controller.progress(record, load.now_s))  # noqa: B023
        for row in ended:
            turns += load.finish(row)
        load.start([turn.decision for turn in turns])
        answer, first = _offered(load, Priority.NORMAL)
        assert isinstance(answer.decision, Queued)
        _left(load, answer)
        yield "offer, queued, first", first
        load.fill()
        yield "step record", taken


def the_machine() -> Rounds:
    """A fixed piece of work."""
    while True:
        yield "sum(range(1000))", measured(lambda: sum(range(1000)))[1]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20_000)
    parser.add_argument("--leases", type=int, default=FULL.leases)
    parser.add_argument("--queued", type=int, default=FULL.queued)
    given = parser.parse_args()
    rounds, size = given.rounds, Size(given.leases, given.queued)
    cells = [
        (column, run(target_s, size))
        for run in (offers_accepted, offers_queued, step_records, looks_past)
        for column, target_s in TARGETS.items()
    ]
    cells += [(column, the_machine()) for column in TARGETS]
    taken: dict[tuple[str, str], list[Times]] = defaultdict(list)
    for _ in range(rounds // ROUNDS_IN_TURN):
        for column, run in cells:
            for name, times in islice(run, ROUNDS_IN_TURN):
                taken[name, column].append(times)
    load = os.getloadavg()[0]
    print(f"{rounds} rounds, {size.queued} queued, {size.leases} leases, load {load:.1f}, us")
    for clock, title in enumerate(("own", "wall")):
        _print(title, {cell: [times[clock] for times in all_] for cell, all_ in taken.items()})


def _print(title: str, taken: dict[tuple[str, str], list[int]]) -> None:
    print("\n" + " " * 20 + "".join(f"{column:>27}" for column in TARGETS))
    print(f"{title:20}" + f"{'p50':>11}{'p99':>8}{'p99.9':>8}" * len(TARGETS))
    for name in dict.fromkeys(name for name, _ in taken):
        print(f"{name:20}", end="")
        for column in TARGETS:
            p50, p99, p999 = np.percentile(np.array(taken[name, column]) / 1e3, [50, 99, 99.9])
            print(f"{p50:11.0f}{p99:8.0f}{p999:8.0f}", end="")
        print()


if __name__ == "__main__":
    main()
