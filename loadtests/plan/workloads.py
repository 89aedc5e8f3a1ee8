"""Workloads by name; plans and load tests share one list.

A plan uses the means of `admission.planning.workload.PRESETS`. It draws the lengths of the other
workloads as a load test does.
"""

import random
from functools import cache

from admission.planning.sentences import Sentence
from admission.planning.workload import PRESETS, Workload, find_workload, from_requests
from admission.terms.spelling import UnknownNameError
from loadtests.scenarios import SCENARIOS

_DRAWS = 2000  # lengths that represent a scenario
_SEED = 1


def named_workload(name: str, *, max_model_len: int) -> Workload:
    """The workload with that name; ValueError suggests the nearest known name.

    Drawn lengths beyond `max_model_len` are left out.
    """
    if name in PRESETS:
        return find_workload(name)
    if name not in SCENARIOS:
        raise UnknownNameError("workload", name, SCENARIOS)
    return from_requests(
        name,
        _drawn(name),
        max_model_len=max_model_len,
        source=Sentence("source_scenario", name=name),
    )


@cache
def _drawn(name: str) -> list[tuple[int, int]]:
    rng = random.Random(_SEED)  # noqa: S311 - a workload, no secret
    asks = (SCENARIOS[name].draw(rng) for _ in range(_DRAWS))
    return [(ask.prompt_tokens, ask.output_tokens) for ask in asks]
