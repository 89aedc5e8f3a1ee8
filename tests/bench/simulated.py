"""How many requests at once the simulated 8 x A10 carry: measured beside what `sluice plan` says.

Closed loop: N clients, each asks again as soon as it has its answer. Prompts are of one length, as
in the plan, and all different; answers have the plan's mean and a log-normal spread, as chats have,
else the clients would march in step and bring all prompts at once. Times are modelled seconds.
For each N a warm-up of one request per client, then at least `--seconds`; a refusal is a failure.

    .venv/bin/python -m tests.bench.simulated --isl 862 --osl 665 16 24 32 40
    .venv/bin/python -m tests.bench.simulated --tp 2 --isl 862 --osl 665 32 48 64
"""

import argparse
import asyncio
import json
import math
import random
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from serve.simulated.answers import LENGTH_KEY
from tests.bench.report import machine, table
from tests.live.ask import metric, state_of
from tests.live.gateway import Gateway, free_port, serve, write_profile

_BASE = "sim-qwen3-32b-8xa10"
_MODEL = "qwen3-32b"
_SIGMA = 0.884  # of the logarithm: with a median of 450 a mean of 665 and a p90 of 1,400
_STAGGER_S = 30.0  # modelled: the first requests come one by one, too
_HEAD = (
    "at once",
    "requests",
    "failed",
    "TTFT p50 s",
    "TTFT p95 s",
    "TPOT p50 ms",
    "TPOT p95 ms",
    "requests/s",
    "KV used",
    "preempted",
    "late steps",
)


@dataclass
class Seen:
    """Answers of one N, in modelled seconds; only those begun after the warm-up."""

    ttft_s: list[float] = field(default_factory=list)
    tpot_s: list[float] = field(default_factory=list)
    failed: int = 0
    kv_used: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Load:
    """What every request is, and how long one N is held."""

    isl: int
    osl: int  # mean
    seconds: float  # modelled
    speed: float


class Held:
    """N clients until the time is over; the time begins when each has had one answer."""

    def __init__(self, gateway: Gateway, clients: int, load: Load) -> None:
        self._gateway, self._clients, self._load = gateway, clients, load
        self._rng = random.Random(clients)
        self._warm = 0
        self._begun_s: float | None = None
        self.seen = Seen()

    async def run(self) -> tuple[Seen, float]:
        """What they saw, and the modelled seconds it took."""
        connector = aiohttp.TCPConnector(limit=0)
        timeout = aiohttp.ClientTimeout(total=3600)
        looking = asyncio.create_task(self._look())
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            await asyncio.gather(*(self._client(session) for _ in range(self._clients)))
        looking.cancel()
        return self.seen, self._now() - (self._begun_s or 0.0)

    async def _client(self, session: aiohttp.ClientSession) -> None:
        await asyncio.sleep(self._rng.uniform(0, _STAGGER_S) / self._load.speed)
        await self._ask(session)
        self._warm += 1
        if self._warm == self._clients:
            self._begun_s = self._now()
        while self._begun_s is None or self._now() < self._begun_s + self._load.seconds:
            counted = self._begun_s is not None
            answer = await self._ask(session)
            if counted:
                note(self.seen, answer, self._load)

    async def _ask(self, session: aiohttp.ClientSession) -> tuple[float, float] | None:
        return await ask(session, self._gateway.url, self._load, self._rng)

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(1)
            kv = (await asyncio.to_thread(state_of, self._gateway))["kv"]
            if self._begun_s is not None:
                self.seen.kv_used.append(kv["held_blocks"] / kv["capacity_blocks"])

    def _now(self) -> float:
        return time.perf_counter() * self._load.speed


def drawn(mean: int, rng: random.Random) -> int:
    """An answer's length: log-normal, at most four times the mean."""
    length = round(rng.lognormvariate(math.log(mean) - _SIGMA**2 / 2, _SIGMA))
    return max(2, min(4 * mean, length))


async def ask(
    session: aiohttp.ClientSession, url: str, load: Load, rng: random.Random
) -> tuple[float, float] | None:
    """Real seconds to the first token and for each one after it; None when refused."""
    tokens = drawn(load.osl, rng)
    body = {
        "model": _MODEL,
        "prompt": [rng.randrange(1000, 100_000) for _ in range(load.isl)],
        "max_tokens": load.osl * 4,
        "vllm_xargs": {LENGTH_KEY: tokens},
        "stream": True,
    }
    begun_s, first_s = time.perf_counter(), None
    headers = {"x-slo-ttft-ms": "120000"}
    async with session.post(f"{url}/v1/completions", json=body, headers=headers) as response:
        if response.status != 200:
            await response.read()
            return None
        async for line in response.content:
            if first_s is None and line.startswith(b"data: {"):
                first_s = time.perf_counter()
    if first_s is None:
        return None
    return first_s - begun_s, (time.perf_counter() - first_s) / (tokens - 1)


def note(seen: Seen, answer: tuple[float, float] | None, load: Load) -> None:
    """One answer, in modelled seconds."""
    if answer is None:
        seen.failed += 1
        return
    seen.ttft_s.append(answer[0] * load.speed)
    seen.tpot_s.append(answer[1] * load.speed)


def row(clients: int, seen: Seen, took_s: float, gateway: Gateway) -> list[str]:
    """One line of the table."""
    report: Any = state_of(gateway)["simulation"]
    count = len(seen.ttft_s)
    if not count:
        return [str(clients), "0", str(seen.failed), *["-"] * (len(_HEAD) - 3)]
    return [
        str(clients),
        str(count),
        str(seen.failed),
        f"{statistics.median(seen.ttft_s):.2f}",
        f"{_p95(seen.ttft_s):.2f}",
        f"{statistics.median(seen.tpot_s) * 1000:.0f}",
        f"{_p95(seen.tpot_s) * 1000:.0f}",
        f"{count / took_s:.2f}",
        f"{statistics.mean(seen.kv_used):.2f}" if seen.kv_used else "-",
        f"{metric(gateway, 'vllm:num_preemptions_total'):.0f}",
        f"{report['late_steps_ratio_recent']:.1%}",
    ]


def _p95(values: list[float]) -> float:
    return sorted(values)[min(len(values) - 1, int(0.95 * len(values)))]


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clients", type=int, nargs="+")
    parser.add_argument("--isl", type=int, default=862)
    parser.add_argument("--osl", type=int, default=665)
    parser.add_argument("--tp", type=int, default=8)
    parser.add_argument("--link", default="pcie4")
    parser.add_argument("--batched", type=int, default=512)
    parser.add_argument("--seconds", type=float, default=120.0, help="modelled, at least")
    parser.add_argument("--speed", type=float, default=4.0)
    args = parser.parse_args()
    load = Load(args.isl, args.osl, args.seconds, args.speed)
    changes = {
        "simulation": {"speed": args.speed, "link": args.link},
        "engine_args": {"tensor_parallel_size": args.tp, "max_num_batched_tokens": args.batched},
        "admission": {"prefill_backlog_max_tokens": 1_000_000},  # the load is what is tried
    }
    print(f"`python -m tests.bench.simulated {' '.join(sys.argv[1:])}`, {machine()}\n")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        gateway = serve(write_profile(place, base=_BASE, **changes), port=free_port(), folder=place)
        try:
            gateway.wait_until_ready()
            rows = []
            for clients in args.clients:
                seen, took_s = asyncio.run(Held(gateway, clients, load).run())
                rows.append(row(clients, seen, took_s, gateway))
                sys.stderr.write("  " + " | ".join(rows[-1]) + "\n")  # a run cut short is not lost
            print(table(_HEAD, rows))
            print("\n" + json.dumps(state_of(gateway)["step_time"]["fit"]))
        finally:
            gateway.end()


if __name__ == "__main__":
    main()
