"""How long users wait for their first token where all prompts wait in one queue.

Prompts are served in order, S = `prefill_s` each beside the decodes, and arrive at random: one
waits with chance rho = rate x E[S], and then E[S^2] / (2 E[S] (1 - rho)) on average (M/D/1 where
all are alike, else M/G/1), exponentially. Its own prompt comes on top.
"""

import math

from admission.planning.step_limits import Mix, narrowed, prefill_s
from admission.speed.step import Steps


class PromptLine:
    """The prompt queue of a mix beside `sequences` that decode; each pipeline stage serves one."""

    def __init__(self, model: Steps, mix: Mix, *, sequences: int) -> None:
        self._users = sequences
        self._stages = model.stages
        self._each_s = [
            prefill_s(model, mix, sequences=sequences, prompt_tokens=prompt)
            for prompt in mix.each_prompt
        ]
        self._mean_s = sum(self._each_s) / len(self._each_s)

    def ttft_s(self, rate_per_s: float, *, share: float = 0.95, late_prompts: float = 0) -> float:
        """TTFT that a `share` of requests keeps at that arrival rate; inf where prompts pile up.

        `late_prompts` more prompts delay each request.
        """
        busy = self._busy(rate_per_s)
        if busy >= 1:
            return math.inf
        return self._within_s(min(1.0, busy + late_prompts), self._wait_s(busy), share)

    def others_per_s(self, rate_per_s: float) -> float:
        """Prompts a second that one of the users in a closed loop meets: those of all others.

        `rate_per_s` is that of all if none ever waited: then each asks again after n / rate. While
        it waits, W, and is computed, S, it asks for nothing, and it waits for the n - 1 others
        alone (the arrival theorem): others = (n - 1) / (n / rate_per_s + W(others) + S), halved
        down to. So prompts never pile up without end.
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
        """Mean wait of those that wait (M/G/1)."""
        return sum(s * s for s in self._each_s) / (2 * sum(self._each_s) * (1 - busy))

    def _within_s(self, busy: float, wait_s: float, share: float) -> float:
        """Seconds in which a `share` is served: chance `busy` of an exponential wait, then its own.

        All alike: S + wait ln(busy / (1 - share)). Else halved down to the answer.
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
