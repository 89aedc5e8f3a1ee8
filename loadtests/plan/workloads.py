"""The workloads by name: those that load tests play, one list for both.

Those of `admission.planning.workload.PRESETS` are planned by their means; the lengths of the others
are drawn as a load test draws them.
"""

import random
from functools import cache

from admission.planning.sentences import Sentence
from admission.planning.workload import PRESETS, Workload, find_workload, from_requests
from admission.terms.spelling import UnknownNameError
from loadtests.scenarios import SCENARIOS

_DRAWS = 2000  # lengths that stand for a scenario
_SEED = 1


def named_workload(name: str, *, max_model_len: int) -> Workload:
    """The workload of that name; ValueError with the nearest known.

    Of drawn lengths, those beyond `max_model_len` are left out.
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
