"""TTFT if all prompts wait in one queue.

Prompts arrive at random and are computed in order, each in S = `prefill_s` along with the decodes.
A prompt waits with probability rho = rate x E[S], and then E[S^2] / (2 E[S] (1 - rho)) on average
(M/D/1 if all are alike, else M/G/1), taken as exponential. Its own S comes on top.
"""

import math

from admission.planning.step_limits import Mix, narrowed, prefill_s
from admission.speed.step import Steps


class PromptLine:
    """The prompt queue of a mix while `sequences` decode; each pipeline stage serves one prompt."""

    def __init__(self, model: Steps, mix: Mix, *, sequences: int) -> None:
        self._users = sequences
        self._stages = model.stages
        self._each_s = [
            prefill_s(model, mix, sequences=sequences, prompt_tokens=prompt)
            for prompt in mix.each_prompt
        ]
        self._mean_s = sum(self._each_s) / len(self._each_s)

    def ttft_s(self, rate_per_s: float, *, share: float = 0.95, late_prompts: float = 0) -> float:
        """The TTFT that a `share` of requests keeps at that arrival rate; inf if the queue grows.

        `late_prompts` more prompts delay each request.
        """
        busy = self._busy(rate_per_s)
        if busy >= 1:
            return math.inf
        return self._within_s(min(1.0, busy + late_prompts), self._wait_s(busy), share)

    def others_per_s(self, rate_per_s: float) -> float:
        """Prompts a second from all other users, as one user of a closed loop meets them.

        `rate_per_s` is the rate of all n users if none ever waited: each sends again after n /
        rate. A user sends nothing while its prompt waits, W, and is computed, S, and it waits only
        for the n - 1 others (arrival theorem): others = (n - 1) / (n / rate_per_s + W(others) + S),
        solved by bisection. So the queue never diverges.
        """

        def too_few(others_per_s: float) -> bool:
            wait_s = self._wait_s(self._busy(others_per_s))
            round_s = self._users / rate_per_s + wait_s + self._mean_s
            return others_per_s * round_s < self._users - 1

        others_per_s, _ = narrowed(too_few, 0.0, min(rate_per_s, self._stages / self._mean_s))
        return others_per_s

    def _busy(self, rate_per_s: float) -> float:
        return rate_per_s * self._mean_s / self._stages

    def _wait_s(self, busy: float) -> float:
        """Mean wait of the prompts that wait (M/G/1)."""
        return sum(s * s for s in self._each_s) / (2 * sum(self._each_s) * (1 - busy))

    def _within_s(self, busy: float, wait_s: float, share: float) -> float:
        """Seconds until a `share` is served: an exponential wait with probability `busy`, then S.

        If all are alike: S + wait ln(busy / (1 - share)). Otherwise by bisection.
        """
        each_s = self._each_s
        late = math.log(max(1.0, busy / (1 - share)))
        least_s, most_s = each_s[0] + late * wait_s, each_s[-1] + late * wait_s

        def too_few_served(within_s: float) -> bool:
            left = (within_s - s for s in each_s)
            served = sum(1 - busy * math.exp(-x / wait_s) for x in left if x >= 0)
            return served / len(each_s) < share

        _, within_s = narrowed(too_few_served, least_s, most_s)
        return within_s
