"""Workloads for a fleet, at any rate: a trace with a scaled clock, or generated chats."""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from loadtests.asking.trace_file import BLOCK_TOKENS, Row, read_rows
from loadtests.lab.playing.workload import Cut, TraceWorkload, from_rows, read_workload

_WORD_S = 0.1  # reading time per token of an answer, before a chat's next turn


@dataclass(frozen=True, slots=True)
class Part:
    """The size of a run: warm-up requests, counted requests, and the number of the draw."""

    warm_up: int
    requests: int
    draw: int = 1


class Source(Protocol):
    """A source of requests at any rate."""

    def workload(self, rate_per_s: float, part: Part) -> TraceWorkload:
        """The workload at a mean of `rate_per_s` requests a second."""
        ...


@dataclass(frozen=True, slots=True)
class Trace:
    """A trace file with a scaled clock. Each draw starts at a later row."""

    path: Path
    context_tokens: int

    def workload(self, rate_per_s: float, part: Part) -> TraceWorkload:
        """The rows of the draw, at the rate."""
        rows = read_rows(self.path)
        count = part.warm_up + part.requests
        skip = (part.draw - 1) * count
        times = sorted(row.at_s or 0.0 for row in rows)[skip : skip + count + 1]
        own_per_s = (len(times) - 1) / (times[-1] - times[0])
        cut = Cut(
            skip,
            part.warm_up,
            part.requests,
            rate_per_s / own_per_s,
            context_tokens=self.context_tokens,
        )
        return read_workload(self.path, cut)


@dataclass(frozen=True, slots=True)
class Chats:
    """Chats of several turns with shared system prompts; each turn includes the earlier ones.

    Chats start as a Poisson process. Each uses one of `system_prompts` texts, the k-th with weight
    1/k. The number of turns is geometric with mean `turns`. Lengths of questions and answers are
    log-normal, given by a median and the sigma of the logarithm. The next question follows after
    the reading time (0.1 s a token) and an exponential think time with mean `think_s`. The loop is
    open: the next turn arrives whether or not the last was answered in time.
    """

    context_tokens: int
    system_prompts: int = 20
    system_tokens: int = 3 * BLOCK_TOKENS
    turns: float = 4.0
    question_tokens: tuple[float, float] = (80, 0.9)
    answer_tokens: tuple[float, float] = (200, 0.8)
    think_s: float = 20.0

    def workload(self, rate_per_s: float, part: Part) -> TraceWorkload:
        """Turns in order of arrival, from the steady state on."""
        count = part.warm_up + part.requests
        rng = random.Random(f"chats {part.draw}")  # noqa: S311 - not secret: the same every time
        begin_s = -8 * self.turns * self.think_s  # early enough for a steady state
        until_s = 2 * count / rate_per_s
        rows = self._rows(rng, rate_per_s / self.turns, begin_s, until_s)
        begun = [row for row in rows if row.at_s is not None and row.at_s > 0]
        return from_rows("chats", begun, self._cut(part))

    def _cut(self, part: Part) -> Cut:
        return Cut(0, part.warm_up, part.requests, context_tokens=self.context_tokens)

    def _rows(
        self, rng: random.Random, chats_per_s: float, begin_s: float, until_s: float
    ) -> Iterator[Row]:
        weights = [1 / (place + 1) for place in range(self.system_prompts)]
        at_s, chat = begin_s, 0
        while at_s < until_s:
            at_s += rng.expovariate(chats_per_s)
            chat += 1
            (system,) = rng.choices(range(self.system_prompts), weights)
            yield from self._chat(rng, f"{system}", f"{chat}", at_s)

    def _chat(self, rng: random.Random, system: str, chat: str, at_s: float) -> Iterator[Row]:
        history = self.system_tokens
        shared = self.system_tokens // BLOCK_TOKENS
        while True:
            prompt = history + _tokens(rng, self.question_tokens)
            answer = _tokens(rng, self.answer_tokens)
            if prompt + answer >= self.context_tokens:
                return
            blocks = tuple(
                f"s{system}.{block}" if block < shared else f"c{chat}.{block}"
                for block in range(-(-prompt // BLOCK_TOKENS))
            )
            yield Row(prompt, answer, at_s, None, blocks)
            if rng.random() < 1 / self.turns:
                return
            history = prompt + answer
            at_s += answer * _WORD_S + rng.expovariate(1 / self.think_s)


def _tokens(rng: random.Random, lengths: tuple[float, float]) -> int:
    median, sigma = lengths
    return max(1, round(rng.lognormvariate(math.log(median), sigma)))
