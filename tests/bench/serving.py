"""What the gateway costs per token: Sluice against vLLM's own server and Serve's default proxy.

All fronts run at once, each on its own engine of fixed 20 ms steps, and are loaded in turn, so
that the noise of the machine meets them alike; ratios are taken within a round.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench import fronts
from tests.bench.fronts import Front
from tests.bench.report import table

_HERE = Path(__file__).parent
_MODEL = "smollm2-135m-instruct"
_TOKENS = 200
_IDLE_S = 20.0


@dataclass(frozen=True, slots=True)
class Run:
    """One load of one front."""

    tok_s: float
    ttft_p50_s: float
    byte_path_cpu_s: float
    idle_cpu_s: float
    took_s: float


def load(front: Front, streams: int) -> Run:
    """One round of the client against one front."""
    before = front.cpu_s()
    words = [sys.executable, "-m", "tests.bench.client", front.gateway.url, _MODEL]
    done = subprocess.run(  # noqa: S603 - our own
        [*words, str(streams), str(_TOKENS)], capture_output=True, text=True, check=True
    )
    seen = json.loads(done.stdout)
    spent = {kind: cpu - before.get(kind, 0.0) for kind, cpu in front.cpu_s().items()}
    idle = spent.pop("idle", 0.0)
    return Run(seen["tok_s"], seen["ttft_p50_s"], sum(spent.values()), idle, seen["took_s"])


def idle_cores(running: Sequence[Front]) -> dict[str, float]:
    """Cores that each front burns while nobody asks anything."""
    before = {front.name: sum(front.cpu_s().values()) for front in running}
    time.sleep(_IDLE_S)
    return {f.name: (sum(f.cpu_s().values()) - before[f.name]) / _IDLE_S for f in running}


def rounds(running: Sequence[Front], streams: int, count: int) -> dict[str, list[Run]]:
    """`count` rounds, every front once in each, in turning order."""
    runs: dict[str, list[Run]] = {front.name: [] for front in running}
    for number in range(count):
        turn = number % len(running)
        for front in [*running[turn:], *running[:turn]]:
            runs[front.name].append(load(front, streams))
            print(f"  {streams} streams, round {number + 1}: {front.name}", file=sys.stderr)
    return runs


def _rows(runs: dict[str, list[Run]], streams: int) -> list[list[str]]:
    base = runs[fronts.VLLM]
    return [
        [
            str(streams),
            name,
            f"{statistics.median(r.tok_s for r in mine):,.0f}",
            f"{_ratio(mine, base, 'tok_s'):.2f}",
            f"{statistics.median(r.byte_path_cpu_s for r in mine):.1f}",
            f"{_ratio(mine, base, 'byte_path_cpu_s'):.2f}",
            f"{statistics.median(r.ttft_p50_s for r in mine):.2f}",
            f"{_ratio(mine, base, 'ttft_p50_s'):.2f}",
            f"{statistics.median(r.idle_cpu_s for r in mine):.1f}",
        ]
        for name, mine in runs.items()
    ]


def _ratio(mine: list[Run], base: list[Run], field: str) -> float:
    """Median of the ratios within each round."""
    pairs = zip(mine, base, strict=True)
    return statistics.median(getattr(a, field) / getattr(b, field) for a, b in pairs)


_HEAD = [
    "streams",
    "front",
    "tok/s",
    "x vLLM",
    "CPU s, byte path",
    "x vLLM",
    "TTFT p50 s",
    "x vLLM",
    "CPU s, rest",
]


def main() -> None:
    """`python -m tests.bench.serving [--streams 16 64 128] [--rounds 5]`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--streams", type=int, nargs="+", default=[16, 64, 128])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--without-python-proxy", action="store_true")
    args = parser.parse_args()
    starts = [fronts.start_vllm, fronts.start_sluice]
    if not args.without_python_proxy:
        starts.append(fronts.start_python_proxy)
    running: list[Front] = []
    with tempfile.TemporaryDirectory() as folder:
        try:
            for begin in starts:
                running.append(begin(_HERE / "fixed_step.yaml", Path(folder)))
                running[-1].gateway.wait_until_ready()
                load(running[-1], 16)  # the first requests pay for imports
            _measure(running, args.streams, args.rounds)
        finally:
            for front in running:
                front.gateway.end()


def _measure(running: list[Front], streams: list[int], count: int) -> None:
    idle = idle_cores(running)
    found = [row for n in streams for row in _rows(rounds(running, n, count), n)]
    print(table(_HEAD, found))
    print()
    print(table(["front", "cores while idle"], [[k, f"{v:.2f}"] for k, v in idle.items()]))


if __name__ == "__main__":
    main()
