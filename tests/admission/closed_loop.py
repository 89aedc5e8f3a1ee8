"""A closed loop on modelled steps, step by step: what the plan's formulas are held against.

Not vLLM, but its order: decodes first, prompts in chunks with what is left, first come first served.
"""

import math
import random
from collections import deque
from dataclasses import dataclass

from admission.step_limits import Mix
from admission.step_time import StepContents, Steps

_SIGMA = 0.884  # of the logarithm of answers' lengths, as `step_limits.SHORT_ANSWERS` assumes
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
    rng = random.Random(seed)

    def request(came_s: float) -> _Request:
        mean = math.log(mix.output_tokens) - _SIGMA**2 / 2
        longest = 4 * mix.output_tokens
        return _Request(came_s, max(2, min(longest, round(rng.lognormvariate(mean, _SIGMA)))))

    coming = deque(sorted(rng.uniform(0, _STAGGER_S) for _ in range(clients)))
    inside: list[_Request] = []
    ttft_s: list[float] = []
    tpot_s: list[float] = []
    now_s = 0.0
    while now_s < until_s:
        while coming and coming[0] <= now_s:
            inside.append(request(coming.popleft()))
        if not inside:
            now_s = coming[0]
            continue
        decoding = [r for r in inside if r.computed >= mix.prompt_tokens]
        room, chunks = mix.batched_tokens - len(decoding), []
        for waiting in (r for r in inside if r.computed < mix.prompt_tokens):
            tokens = min(room, mix.prompt_tokens - waiting.computed)
            if not tokens:
                break
            chunks.append((waiting, tokens))
            room -= tokens
        now_s += model.step(
            StepContents(
                len(decoding),
                sum(mix.prompt_tokens + r.produced for r in decoding),
                sum(tokens for _, tokens in chunks),
                sum(r.computed for r, _ in chunks),
                max(1, len(chunks)),
            )
        ).total_s
        for each in decoding:
            each.produced += 1
        for each, tokens in chunks:
            each.computed += tokens
            if each.computed == mix.prompt_tokens:
                each.produced, each.first_s = 1, now_s
                ttft_s += [now_s - each.came_s] * (now_s > _WARM_S)
        for each in [r for r in inside if r.produced >= r.output]:
            inside.remove(each)
            coming.append(now_s)
            tpot_s += [(now_s - each.first_s) / (each.output - 1)] * (now_s > _WARM_S)
    return Seen(sorted(ttft_s), sorted(tpot_s))
