"""What admission does under overload: preemptions, answers, refusals with it on and off.

Open loop: requests of 30-1,500 prompt and 1-300 output tokens arrive at a multiple of what was
measured to pass, at the same instants in every arm. The engine takes 20 ms a step; its cache holds
about ten mean requests.
"""

import argparse
import asyncio
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from tests.bench.report import table
from tests.live.ask import metric, state_of
from tests.live.gateway import Gateway, free_port, serve
from tests.live.storm import Outcome, Shot, mixed_shots, one, tally

_HERE = Path(__file__).parent
_MODEL = "smollm2-135m-instruct"
_PROBE = 150  # requests at once, by which the load that the cache carries is measured
_TTFT_MS = 10_000
_ARMS: dict[str, dict[str, Any]] = {
    "footprint": {},
    "worst_case": {"policy": "worst_case"},
    "static, N = 10": {"policy": "static", "static": {"limit": 10}},
    "off": {"mode": "off"},
}


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request and the second it comes."""

    at_s: float
    shot: Shot


def carried_per_s(gateway: Gateway) -> float:
    """Requests per second that pass when more wait than fit."""
    probe = [Arrival(0.0, shot) for shot in mixed_shots(_PROBE, seed=5)]
    begun_s = time.perf_counter()
    asyncio.run(play(gateway.url, probe, ttft_ms=120_000))
    return _PROBE / (time.perf_counter() - begun_s)


def arrivals(per_s: float, seconds: float, *, seed: int) -> list[Arrival]:
    """A Poisson stream."""
    rng = random.Random(seed)
    at_s, found = 0.0, []
    for shot in mixed_shots(int(per_s * seconds), seed=seed):
        at_s += rng.expovariate(per_s)
        found.append(Arrival(at_s, shot))
    return found


async def play(url: str, stream: list[Arrival], *, ttft_ms: int = _TTFT_MS) -> list[Outcome]:
    """Send each at its instant, whatever became of the others."""
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=900)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:

        async def at(arrival: Arrival) -> Outcome:
            await asyncio.sleep(arrival.at_s)
            return await one(session, url, _MODEL, arrival.shot, ttft_ms)

        return await asyncio.gather(*(at(arrival) for arrival in stream))


def arm_profile(folder: Path, admission: Mapping[str, Any]) -> Path:
    """The fixed-step engine with a small cache, under one arm's settings."""
    profile = yaml.safe_load((_HERE / "fixed_step.yaml").read_text())
    # 322 blocks x 16 tokens x 23,040 bytes: ten mean requests
    profile["engine_args"] |= {"max_model_len": 2048, "kv_cache_memory_bytes": 118_702_080}
    profile["admission"] = dict(admission)
    path = folder / "arm.yaml"
    path.write_text(yaml.safe_dump(profile))
    return path


@contextmanager
def running(admission: Mapping[str, Any]) -> Iterator[Gateway]:
    """A gateway under one arm's settings, gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        gateway = serve(arm_profile(place, admission), port=free_port(), folder=place)
        try:
            gateway.wait_until_ready()
            yield gateway
        finally:
            gateway.end()


def _row(name: str, gateway: Gateway, outcomes: list[Outcome]) -> list[str]:
    preempted = metric(gateway, "vllm:num_preemptions_total")
    check = state_of(gateway)["ledger_check"]
    counts = tally(outcomes)
    answered = [o for o in outcomes if o.status == 200 and not o.error]
    firsts = sorted(o.first_s for o in answered if o.first_s is not None)
    in_time = sum(first <= _TTFT_MS / 1000 for first in firsts) / max(1, len(firsts))
    used = check["kv_used_mean_while_waiting"]
    return [
        name,
        str(len(outcomes)),
        str(len(answered)),
        str(sum(n for key, n in counts.items() if key.startswith(("429", "503", "400")))),
        f"{preempted:.0f}",
        f"{statistics.median(firsts):.1f}" if firsts else "-",
        f"{firsts[int(0.95 * (len(firsts) - 1))]:.1f}" if firsts else "-",
        f"{in_time:.0%}",
        "-" if used is None else f"{used:.2f}",
    ]


_HEAD = [
    "admission",
    "offered",
    "answered",
    "refused",
    "preemptions",
    "TTFT p50 s",
    "TTFT p95 s",
    "of answered in 10 s",
    "KV used while any waits",
]


def main() -> None:
    """`python -m tests.bench.overload [--overload 4] [--seconds 40]`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--overload", type=float, default=4.0)
    parser.add_argument("--seconds", type=float, default=40.0)
    args = parser.parse_args()
    stream: list[Arrival] = []
    rows = []
    for name, admission in _ARMS.items():
        if not stream:
            with running(admission) as gateway:
                per_s = carried_per_s(gateway)
            stream = arrivals(args.overload * per_s, args.seconds, seed=11)
        with running(admission) as gateway:
            rows.append(_row(name, gateway, asyncio.run(play(gateway.url, stream))))
            print("  " + " | ".join(rows[-1]), file=sys.stderr)  # a run cut short is not lost
    print(f"{args.overload:g}x what passes ({per_s:.1f} requests/s), {args.seconds:g} s\n")
    print(table(_HEAD, rows))


if __name__ == "__main__":
    main()
