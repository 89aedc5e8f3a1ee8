"""How fast the lab is: so many requests at once through admission and vLLM's scheduler.

.venv/bin/python -m tests.bench.lab
"""

import random
import sys
import time
from dataclasses import replace
from pathlib import Path

from admission.terms.settings import Policy, Settings
from loadtests.lab.jobs import engines_of
from loadtests.lab.playing.door import Bounds
from loadtests.lab.playing.gateway import OurGateway
from loadtests.lab.playing.play import play_one
from loadtests.lab.playing.workload import TraceRequest, TraceWorkload
from tests.bench.report import machine, table

_PROFILE = Path(__file__).parents[2] / "configs" / "sim-qwen3-32b-8xa10.yaml"
_AT_ONCE = (16, 64, 128)
_BOUNDS = Bounds(ttft_s=3600.0, tpot_s=60.0)  # nobody is turned away: the number at once is held


def _workload(at_once: int) -> TraceWorkload:
    """Enough for five generations, all there from the beginning."""
    rng = random.Random(at_once)
    requests = tuple(
        TraceRequest(number, 0.0, "all", rng.randrange(50, 400), rng.randrange(200, 1200), 2048)
        for number in range(5 * at_once)
    )
    return TraceWorkload("held", requests, range(4 * at_once))


def _measured(at_once: int) -> list[str]:
    engines = engines_of(_PROFILE, None)
    settings = replace(Settings(), policy=Policy.STATIC, static_limit=at_once)
    engine = engines.fresh()
    begun_s = time.process_time()
    played = play_one(
        _workload(at_once), engine, OurGateway(engines.shape, settings, _BOUNDS), _BOUNDS
    )
    cpu_s = time.process_time() - begun_s
    engine.close()
    tokens = sum(each.output_tokens for each in played.outcomes)
    return [
        str(at_once),
        f"{played.ended_at_s:.0f}",
        f"{cpu_s:.1f}",
        f"{played.ended_at_s / cpu_s:.0f}",
        f"{1e6 * cpu_s / tokens:.0f}",
    ]


def main() -> None:
    """Prints one row for each number at once."""
    rows = [_measured(at_once) for at_once in _AT_ONCE]
    head = ("at once", "virtual s", "CPU s", "times real time", "CPU us a token")
    sys.stdout.write(f"{machine()}\n\n{table(head, rows)}\n")


if __name__ == "__main__":
    main()
