"""How a gateway that was told wrong things recovers: a table, and its curves over virtual time.

    .venv/bin/python -m tests.bench.recovery steps --svg docs/images
    .venv/bin/python -m tests.bench.recovery lengths --svg docs/images

`steps`: what a step takes is told at half or double the truth, beside runs that were told right
and runs that are deaf: they learn nothing of step times. `lengths`: answers become twice as long
half way through the trace, beside a gateway that knows every length. Virtual time: the same
arguments give the same numbers.
"""

import argparse
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from loadtests.lab.jobs import engines_of
from loadtests.lab.playing.door import Bounds
from loadtests.lab.playing.play import play_one
from loadtests.lab.playing.workload import Cut, TraceWorkload, read_workload
from tests.bench.recovery_chart import drawn
from tests.bench.recovery_curves import Arm, Curves, Watched, curves, recovered_s
from tests.bench.report import machine, table

_ROOT = Path(__file__).parents[2]
_PROFILE = _ROOT / "configs" / "sim-qwen3-32b-8xa10.yaml"
_CONVERSATIONS = _ROOT / "loadtests" / "traces" / "azure2023_conv.csv.gz"
_STEPS = (
    Arm("told right"),
    Arm("told half", told=0.5),
    Arm("told double", told=2.0),
    Arm("half, deaf", told=0.5, learns=False),
    Arm("double, deaf", told=2.0, learns=False),
)
_LENGTHS = (Arm("predicts"), Arm("knows lengths", knows=True))


@dataclass(frozen=True, slots=True)
class Case:
    """What is played; answers are twice as long from request `doubled_from` on."""

    arms: tuple[Arm, ...]
    cut: Cut
    bounds: Bounds
    kv_tokens: int | None = None
    doubled_from: int | None = None

    def workload(self) -> TraceWorkload:
        """Of the conversations."""
        workload, doubled_from = read_workload(_CONVERSATIONS, self.cut), self.doubled_from
        if doubled_from is None:
            return workload
        longer = [
            replace(each, output_tokens=each.output_tokens * (1 + (each.number >= doubled_from)))
            for each in workload.requests
        ]
        return replace(workload, requests=tuple(longer))


CASES = {
    "steps": Case(
        _STEPS,
        Cut(skip=2000, warm_up=0, limit=160, rate_scale=0.2),  # busy from the first second
        Bounds(ttft_s=5.0, tpot_s=0.2),
    ),
    "lengths": Case(
        _LENGTHS,
        Cut(skip=2000, warm_up=0, limit=360, rate_scale=0.3),
        Bounds(ttft_s=10.0, tpot_s=1.0),  # so that KV binds, and not the time per token
        kv_tokens=40_000,
        doubled_from=180,
    ),
}


def play(case: Case, arm: Arm) -> Curves:
    """One run, from an idle engine."""
    engines, workload = engines_of(_PROFILE, case.kv_tokens), case.workload()
    door = Watched(engines.facts(case.bounds, None), arm)
    engine = engines.fresh()
    try:
        played = play_one(workload, engine, door, case.bounds)
    finally:
        engine.close()
    return curves(arm, door.beliefs, played.outcomes[: case.cut.limit], case.bounds)


def rows(told: Sequence[Curves]) -> list[list[str]]:
    """By arm: served in time of all offered, in the first minute and in all; preemptions."""
    shown = []
    for each in told:
        within_s = recovered_s(each)
        shown.append(
            [
                each.arm.name,
                f"{each.good_until(60.0)} of {each.offered_until(60.0)}",
                f"{each.good_until()} of {each.offered_until()}",
                str(each.preemptions),
                "-" if within_s is None else f"{within_s:.0f}",
            ]
        )
    return shown


def main() -> None:
    """Prints the table of one case; `--svg` writes its curves."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("case", choices=CASES)
    parser.add_argument("--svg", type=Path, metavar="FOLDER")
    parser.add_argument("--jobs", type=int, default=2, metavar="N")
    args = parser.parse_args()
    case = CASES[args.case]
    if args.svg:
        args.svg.mkdir(parents=True, exist_ok=True)  # not only said when all is over
    with ProcessPoolExecutor(args.jobs, mp_context=get_context("spawn")) as pool:
        told = list(pool.map(partial(play, case), case.arms))
    head = ("", "in time, first minute", "in time", "preemptions", "steps known to 10 % after, s")
    sys.stdout.write(f"{machine()}\n\n{table(head, rows(told))}\n")
    if args.svg:
        (args.svg / f"recovery-{args.case}.svg").write_text(drawn(args.case, told))


if __name__ == "__main__":
    main()
