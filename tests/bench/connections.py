"""Many connections, and more requests than can be served: what refusing costs, and who pays.

    .venv/bin/python -m tests.bench.connections
    .venv/bin/python -m tests.bench.connections --only overload --seconds 25 --capacity 50

Idle keep-alive connections with /health on them; so many requests at once beside them; as many as
the queue takes; then open loops of 1.7 and 4 times what is served, each request with a deadline of
2 real seconds. Refused `in the queue`: taken in, and then its turn did not come in time. A
simulated engine of fixed 20 ms steps at speed 4, gateway and client on the same cores: `client
late` is the lag of the client's own event loop, which is part of every time beside it. `--capacity`
spares the closed loop that finds out what is served.
"""

import argparse
import asyncio
import gc
import random
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import uvloop

from loadtests.judging.percentiles import percentile
from serve.process import ray_environment
from serve.profile.settings import load_profile
from tests.bench import fronts
from tests.bench.fronts import Front
from tests.bench.report import machine, table
from tests.bench.wire import Connection, Lag, Pool, Told, closed_loop, get, open_loop, post
from tests.live.ask import nothing_held, state_of
from tests.live.gateway import free_port, serve, wait_until, write_profile

_MODEL = "smollm2-135m-instruct"
_SPEED = 4.0
_DEADLINE_S = 2.0  # real
_WORDS = ("river", "stone", "lamp", "cloud", "seven", "garden", "paper", "engine", "winter")
_WARM_UP_S = 5.0
_BATCH = 100  # connections opened at a time: a listening socket's queue is no part of this
_SHARES = (0.5, 0.9, 0.99, 1.0)
_KINDS = ("replica", "engine core", "haproxy")


@dataclass(frozen=True, slots=True)
class Part:
    """What one phase saw; `cpu_s` by kind of process, `sizes` RSS in MB and open files."""

    name: str
    seconds: float
    told: Sequence[Told]
    late_s: Sequence[float]
    cpu_s: dict[str, float]
    sizes: dict[str, tuple[float, int]]
    note: str = ""


@dataclass
class Bench:
    """One running gateway and one client."""

    front: Front
    pool: Pool
    args: argparse.Namespace
    parts: list[Part] = field(default_factory=list)

    async def phase(self, name: str, work: Coroutine[Any, Any, list[Told]]) -> Part:
        """Runs `work`, and reads the processes before and after it."""
        before = self.front.cpu_s()
        lag, cpu_s, begun_s = Lag(), time.process_time(), time.perf_counter()
        told = await work
        seconds, cpu_s = time.perf_counter() - begun_s, time.process_time() - cpu_s
        await lag.stop()
        spent = {kind: s - before.get(kind, 0.0) for kind, s in self.front.cpu_s().items()}
        sizes = sizes_of(self.front)
        part = Part(name, seconds, told, lag.late_s, spent | {"client": cpu_s}, sizes)
        self.parts.append(part)
        return part

    def bodies(self, count: int, seed: int, *, deadline_s: float = 600.0) -> list[bytes]:
        """So many streams, each with a prompt of its own."""
        rng, args = random.Random(seed), self.args
        deadline_ms = f"{deadline_s * _SPEED * 1000:.0f}"

        def body() -> dict[str, Any]:
            words = " ".join(rng.choice(_WORDS) for _ in range(args.words))
            return {
                "model": _MODEL,
                "messages": [{"role": "user", "content": f"{rng.random()} {words}"}],
                "max_tokens": args.tokens,
                "ignore_eos": True,
                "stream": True,
            }

        path = "/v1/chat/completions"
        return [post(path, body(), x_slo_ttft_ms=deadline_ms) for _ in range(count)]


# -- the phases ----------------------------------------------------------------------------


async def idle(bench: Bench, count: int) -> list[Connection]:
    """Opens so many connections, asks /health on each."""
    opened: list[Connection] = []

    async def work() -> list[Told]:
        for start in range(0, count, _BATCH):
            batch = range(start, min(start + _BATCH, count))
            opened.extend(await asyncio.gather(*(bench.pool.open() for _ in batch)))
        health = get("/health")
        return [await connection.ask(health, Told()) for connection in opened]

    await bench.phase(f"{count} idle connections, /health on each", work())
    return opened


async def at_once(bench: Bench, count: int, what: str) -> None:
    """So many requests in the same instant, none in a hurry."""
    bodies = bench.bodies(count, seed=count)

    async def work() -> list[Told]:
        return list(await asyncio.gather(*(bench.pool.ask(body, Told()) for body in bodies)))

    await bench.phase(what, work())
    bench.pool.close()


async def capacity(bench: Bench) -> float:
    """Requests a second that a closed loop of twice the slots is served."""
    users, seconds = 2 * bench.args.slots, bench.args.seconds
    many = bench.bodies(int(400 * seconds), seed=7)
    work = closed_loop(bench.pool, many, users=users, seconds=seconds)
    part = await bench.phase(f"closed loop of {users}", work)
    return sum(told.served for told in part.told) / part.seconds


async def overload(bench: Bench, per_s: float, times: float, seconds: float) -> Part:
    """An open loop of so many times what is served."""
    rate = per_s * times
    bodies = bench.bodies(int(rate * seconds), seed=int(10 * times), deadline_s=_DEADLINE_S)
    work = open_loop(bench.pool, bodies, per_s=rate)
    return await bench.phase(f"{times:g}x: {rate:.0f}/s", work)


async def rest(bench: Bench) -> None:
    """Waits until nothing is held and nobody waits."""
    gateway = bench.front.gateway
    await asyncio.to_thread(
        wait_until, lambda: nothing_held(gateway), within_s=60.0, what=gateway.written
    )


async def play(front: Front, args: argparse.Namespace, queued: int) -> list[Part]:
    """All phases that are asked for."""
    gc.freeze()
    gc.disable()  # a pass over 10,000 requests would be a lag of its own
    bench = Bench(front, Pool(front.gateway.port), args)
    if "idle" in args.only:
        kept = await idle(bench, args.idle)
        await at_once(bench, args.at_once, f"{args.at_once} requests at once beside them")
        await bench.phase("the idle connections, after these", health_of(kept))
        await at_once(bench, queued, f"{queued} requests at once")
        await rest(bench)
    if "overload" in args.only:
        warm = bench.bodies(int(400 * _WARM_UP_S), seed=3)
        await closed_loop(bench.pool, warm, users=2 * args.slots, seconds=_WARM_UP_S)
        per_s = args.capacity or await capacity(bench)
        for times in args.times:
            await overload(bench, per_s, times, args.seconds)
            await rest(bench)
    bench.pool.close()
    return bench.parts


async def health_of(kept: Sequence[Connection]) -> list[Told]:
    """/health on those that are still open."""
    health = get("/health")
    return [await each.ask(health, Told()) if each.alive else Told() for each in kept]


def sizes_of(front: Front) -> dict[str, tuple[float, int]]:
    """RSS in MB and open files of the processes that carry bytes."""
    marks = {"replica": "ServeReplica", "engine core": "EngineCore", "haproxy": "haproxy"}
    found = {}
    for kind, title in marks.items():
        pids = front.gateway.find(title)
        if pids:
            process = psutil.Process(max(pids, key=lambda pid: psutil.Process(pid).num_fds()))
            found[kind] = (process.memory_info().rss / 1e6, process.num_fds())
    return found


# -- the tables ----------------------------------------------------------------------------

_ENDS = (
    "phase",
    "seconds",
    "asked",
    "served/s",
    "in time/s",
    "refused/s",
    "of them in the queue",
    "failed",
    "refused, ms: p50",
    "p90",
    "p99",
    "max",
    "not in the queue, ms: p50",
    "p90",
    "p99",
    "max",
    "TTFT s: p50",
    "p99",
    "client late, ms: p99",
    "max",
)
_COSTS = (
    "phase",
    *(f"CPU s: {kind}" if not index else kind for index, kind in enumerate(_KINDS)),
    "client",
    "rest",
    *(f"{kind}: MB, files" for kind in _KINDS),
)


def ends(part: Part) -> list[str]:
    """What became of the requests of a phase."""
    refused = [told for told in part.told if told.whole and told.status >= 400]
    served = [told for told in part.told if told.served]
    ttft_s = [told.first_at_s - told.sent_at_s for told in served if told.first_at_s]
    took_ms = [(told.ended_at_s - told.sent_at_s) * 1000 for told in refused]
    door_ms = [(t.ended_at_s - t.sent_at_s) * 1000 for t in refused if not t.queued]
    late_ms = [late * 1000 for late in part.late_s]
    return [
        part.name,
        f"{part.seconds:.1f}",
        str(len(part.told)),
        f"{len(served) / part.seconds:.1f}",
        f"{sum(s <= _DEADLINE_S for s in ttft_s) / part.seconds:.1f}" if ttft_s else "-",
        f"{len(refused) / part.seconds:.1f}",
        str(sum(told.queued for told in refused)),
        str(len(part.told) - len(served) - len(refused)),
        *_spread(took_ms, _SHARES, "{:.0f}"),
        *_spread(door_ms, _SHARES, "{:.0f}"),
        *_spread(ttft_s, (0.5, 0.99), "{:.2f}"),
        *_spread(late_ms, (0.99, 1.0), "{:.0f}"),
    ]


def costs(part: Part) -> list[str]:
    """What a phase cost, and how large the processes were at its end."""
    cpu_s, sizes = part.cpu_s, part.sizes
    return [
        part.name,
        *(f"{cpu_s.get(kind, 0.0):.1f}" for kind in (*_KINDS, "client", "idle")),
        *(f"{sizes[kind][0]:.0f}, {sizes[kind][1]}" if kind in sizes else "-" for kind in _KINDS),
    ]


def _spread(values: Sequence[float], shares: Sequence[float], pattern: str) -> list[str]:
    if not values:
        return ["-"] * len(shares)
    return [pattern.format(percentile(values, share)) for share in shares]


def reasons(part: Part) -> str:
    """Refusals by reason."""
    counted = Counter(told.reason for told in part.told if told.reason)
    return ", ".join(f"{count} {reason}" for reason, count in counted.most_common()) or "none"


# -- the gateway ---------------------------------------------------------------------------


def profile_of(folder: Path, args: argparse.Namespace, line: int) -> Path:
    """Fixed steps, few slots, a line of so many."""
    return write_profile(
        folder,
        base="../tests/bench/fixed_step",
        simulation={"speed": _SPEED},
        engine_args={"max_num_seqs": args.slots, "async_scheduling": True},
        admission={
            "ttft_deadline_max_s": 3600,  # those in no hurry wait as long as it takes
            "queue": {
                "max_requests": line,
                "max_requests_per_tenant": line,
                "max_tokens": 100_000_000,
            },
        },
        telemetry={"access_log": args.access_log},
    )


def longest_line(folder: Path, args: argparse.Namespace) -> int:
    """As asked, or what this machine's limit of open files allows."""
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[1]

    def fits(line: int) -> bool:
        profile = load_profile(profile_of(folder, args, line))
        return ray_environment.open_files(profile) <= allowed

    return next((line for line in range(args.queued, 0, -250) if fits(line)), 250)


def run(args: argparse.Namespace, done: Callable[[list[Part]], None]) -> None:
    """Starts the gateway, plays, and ends it whatever happens."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        line = longest_line(folder, args)
        profile = profile_of(folder, args, line)
        gateway = serve(profile, port=args.port or free_port(), folder=folder)
        try:
            gateway.wait_until_ready()
            front = Front(fronts.SLUICE, gateway)
            done(uvloop.run(play(front, args, line)))
            if args.state:
                print(state_of(gateway))
        finally:
            gateway.end()


def show(parts: list[Part]) -> None:
    """Both tables, and why the refused were."""
    print(table(_ENDS, [ends(part) for part in parts]))
    print()
    print(table(_COSTS, [costs(part) for part in parts]))
    print()
    for part in parts:
        print(f"{part.name}: refused {reasons(part)}")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", nargs="+", default=["idle", "overload"])
    parser.add_argument("--idle", type=int, default=2000)
    parser.add_argument("--at-once", type=int, default=2000)
    parser.add_argument("--queued", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each open loop")
    parser.add_argument("--capacity", type=float, help="requests per second, instead of measuring")
    parser.add_argument("--times", type=float, nargs="+", default=[1.7, 4.0])
    parser.add_argument("--words", type=int, default=200, help="of a prompt")
    parser.add_argument("--tokens", type=int, default=32, help="of an answer")
    parser.add_argument("--slots", type=int, default=8)
    parser.add_argument("--port", type=int, help="of the gateway; a free one otherwise")
    parser.add_argument("--access-log", help="where to; none is written otherwise")
    parser.add_argument("--state", action="store_true", help="print the gateway's state at the end")
    args = parser.parse_args()
    print(machine())
    print()
    run(args, show)


if __name__ == "__main__":
    main()
