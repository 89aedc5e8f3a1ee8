"""A closed loop on modelled steps, step by step: what the plan's formulas are held against.

Not vLLM, but its order: decodes first, then prompts in chunks, first come first served.
"""

import math
import random
from collections import deque
from dataclasses import dataclass

from admission.planning.step_limits import TURNAROUND_S, Mix
from admission.planning.workload import ANSWER_SIGMA
from admission.speed.step import StepContents, Steps

_STAGGER_S = 30.0
_WARM_S = 200.0


@dataclass(slots=True)
class _Request:
    came_s: float
    output: int
    computed: int = 0
    produced: int = 0
    first_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Seen:
    """TTFT and TPOT of every request after the warm-up, in seconds, sorted."""

    ttft_s: list[float]
    tpot_s: list[float]

    def within(self, share: float) -> tuple[float, float]:
        """TTFT and TPOT that a `share` keeps."""
        ttft, tpot = (values[int(share * len(values))] for values in (self.ttft_s, self.tpot_s))
        return ttft, tpot


def closed_loop(model: Steps, mix: Mix, clients: int, *, until_s: float, seed: int = 1) -> Seen:
    """Clients without think time: each answer is followed by the next prompt at once."""
    loop = _Loop(model, mix, clients, seed)
    while loop.now_s < until_s:
        loop.step()
    return Seen(sorted(loop.ttft_s), sorted(loop.tpot_s))


class _Loop:
    def __init__(self, model: Steps, mix: Mix, clients: int, seed: int) -> None:
        self._model, self._mix, self._rng = model, mix, random.Random(seed)
        self._coming = deque(sorted(self._rng.uniform(0, _STAGGER_S) for _ in range(clients)))
        self._inside: list[_Request] = []
        self.now_s = self._coming[0]
        self.ttft_s: list[float] = []
        self.tpot_s: list[float] = []

    def step(self) -> None:
        """One engine step, or the wait for somebody to come."""
        while self._coming and self._coming[0] <= self.now_s:
            self._inside.append(self._request(self._coming.popleft()))
        if not self._inside:
            self.now_s = self._coming[0]
            return
        prompt = self._mix.prompt_tokens
        decoding = [r for r in self._inside if r.computed >= prompt]
        chunks = self._chunks(self._mix.batched_tokens - len(decoding))
        contents = StepContents(
            len(decoding),
            sum(prompt + r.produced for r in decoding),
            sum(tokens for _, tokens in chunks),
            sum(r.computed for r, _ in chunks),
            max(1, len(chunks)),
        )
        self.now_s += self._model.step(contents).total_s
        self._note(decoding, chunks)

    def _request(self, came_s: float) -> _Request:
        mean = math.log(self._mix.output_tokens) - ANSWER_SIGMA**2 / 2
        drawn = round(self._rng.lognormvariate(mean, ANSWER_SIGMA))
        return _Request(came_s, max(2, min(4 * self._mix.output_tokens, drawn)))

    def _chunks(self, room: int) -> list[tuple[_Request, int]]:
        """Prompt tokens of this step, in order of arrival."""
        chunks = []
        for waiting in (r for r in self._inside if r.computed < self._mix.prompt_tokens):
            tokens = min(room, self._mix.prompt_tokens - waiting.computed)
            if not tokens:
                break
            chunks.append((waiting, tokens))
            room -= tokens
        return chunks

    def _note(self, decoding: list[_Request], chunks: list[tuple[_Request, int]]) -> None:
        """Sequences that got a token, finished prompts, and ended users that ask again."""
        warm = self.now_s > _WARM_S
        for each in decoding:
            each.produced += 1
        for each, tokens in chunks:
            each.computed += tokens
            if each.computed == self._mix.prompt_tokens:
                each.produced, each.first_s = 1, self.now_s
                self.ttft_s += [self.now_s - each.came_s] * warm
        for each in [r for r in self._inside if r.produced >= r.output]:
            self._inside.remove(each)
            self._coming.append(self.now_s + TURNAROUND_S)
            self.tpot_s += [(self.now_s - each.first_s) / (each.output - 1)] * warm
