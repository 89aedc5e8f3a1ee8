"""Many users for a long time: `python -m tests.bench.faults.soak [--minutes 60]`.

60 users of the simulated engine in a closed loop; three of ten requests are left by their clients,
queued, at the first byte or in the middle. Prints what each process holds, minute by minute, and
ends with 1 if anything is held at the end, a request failed, the ledger was below the engine, or
memory or open files grow.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from tests.bench.report import machine, table
from tests.live.ask import nothing_held, state_of
from tests.live.clients import MODEL
from tests.live.gateway import ROOT, Gateway, free_port, serve, wait_until, write_profile
from tests.live.storm import Outcome, Shot, one, tally

USERS = 60
LEAVE_RATIO = 0.3
_SAMPLE_S = 60.0
_WARM_MINUTES = 3  # caches fill, pools grow to their size
_GROWTH_MB, _GROWTH_FILES = 30, 20  # from the end of warm-up to the end, per process
PROCESSES = {
    "replica": "ServeReplica",
    "EngineCore": "EngineCore",
    "HAProxy": "haproxy.cfg",
    "controller": "ServeController",
    "GCS": "gcs_server",
}
PROFILE: dict[str, dict[str, Any]] = {
    "engine": {"kind": "simulated"},
    "engine_args": {
        "max_model_len": 2048,
        "block_size": 16,
        "kv_cache_memory_bytes": 2_949_857_280,  # 4,001 blocks x 16 tokens x 46,080 bytes
        "max_num_seqs": 64,
        "max_num_batched_tokens": 1024,
        "async_scheduling": True,
    },
    "step_time": {"fixed_s": 0.02, "prefill_token_s": 0.0001},
    "simulation": {"speed": 4.0, "output_tokens": {"median": 150, "p90": 400}},
}


class Users:
    """The load, in a thread of its own; outcomes are counted by kind."""

    def __init__(self, url: str) -> None:
        self.counts: Counter[str] = Counter()
        self.errors: list[str] = []
        self._url = url
        self._over = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._all()), daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Each user finishes its request."""
        self._over.set()
        self._thread.join(120.0)

    async def _all(self) -> None:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session:
            await asyncio.gather(*(self._user(session, number) for number in range(USERS)))

    async def _user(self, session: aiohttp.ClientSession, number: int) -> None:
        rng = random.Random(number)
        while not self._over.is_set():
            outcome = await one(session, self._url, MODEL, _shot(rng), 30_000)
            self._count(outcome)

    def _count(self, outcome: Outcome) -> None:
        self.counts.update(tally([outcome]))
        if outcome.error:
            self.errors.append(outcome.error)


def _shot(rng: random.Random) -> Shot:
    leaves = rng.random() < LEAVE_RATIO
    return Shot(
        words=rng.choice((20, 60, 200, 600)),
        max_tokens=rng.randint(1, 400),
        stream=rng.random() < 0.5 or leaves,
        seed=rng.randrange(2**31),
        ignore_eos=rng.random() < 0.5,
        hang_up=rng.choice(("queued", "first_byte", "middle")) if leaves else None,
    )


def sample(gateway: Gateway) -> dict[str, tuple[int, int]]:
    """Megabytes and open files by process."""
    found = {}
    for name, title in PROCESSES.items():
        each = [psutil.Process(pid) for pid in gateway.find(title)]
        megabytes = sum(process.memory_info().rss for process in each) // 2**20
        found[name] = (megabytes, sum(process.num_fds() for process in each))
    return found


def main(arguments: Sequence[str]) -> int:
    """Plays it and judges."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.faults.soak")
    parser.add_argument("--minutes", type=int, default=60)
    minutes = parser.parse_args(arguments).minutes
    with tempfile.TemporaryDirectory(prefix="sluice-soak-") as folder:
        profile = write_profile(Path(folder), **PROFILE)
        gateway = serve(profile, port=free_port(), folder=Path(folder))
        try:
            gateway.wait_until_ready()
            return _play(gateway, minutes)
        finally:
            gateway.end()


def _play(gateway: Gateway, minutes: int) -> int:
    users, samples = Users(gateway.url), [sample(gateway)]
    for _ in range(minutes):
        time.sleep(_SAMPLE_S)
        samples.append(sample(gateway))
        sys.stdout.write(f"{len(samples) - 1} min: {samples[-1]} {dict(users.counts)}\n")
        sys.stdout.flush()
    users.end()
    wait_until(lambda: nothing_held(gateway), within_s=10.0)
    check = state_of(gateway)["ledger_check"]
    samples.append(sample(gateway))
    text = f"{machine()}\n\n{_table(samples)}\n\n{dict(users.counts)}\n\nledger: {check}\n"
    (ROOT / "bench-results").mkdir(exist_ok=True)
    (ROOT / "bench-results" / "soak.md").write_text(text)
    failures = [*users.errors, *_growth(samples)]
    if check["below_records"]:
        failures.append(f"the ledger was below the engine in {check['below_records']} records")
    sys.stdout.write(text + "\n".join([*failures, f"{len(failures)} failures", ""]))
    return int(bool(failures))


def _growth(samples: list[dict[str, tuple[int, int]]]) -> list[str]:
    if len(samples) <= _WARM_MINUTES + 2:
        return []
    before, after = samples[_WARM_MINUTES], samples[-1]
    return [
        f"{name} grew from {before[name]} to {after[name]} (MB, files)"
        for name in PROCESSES
        if after[name][0] - before[name][0] > _GROWTH_MB
        or after[name][1] - before[name][1] > _GROWTH_FILES
    ]


def _table(samples: list[dict[str, tuple[int, int]]]) -> str:
    shown = sorted({0, 1, _WARM_MINUTES, len(samples) // 2, len(samples) - 2, len(samples) - 1})
    shown = [at for at in shown if at < len(samples)]
    head = ["MB / files", *("end" if at == len(samples) - 1 else f"min {at}" for at in shown)]
    rows = [
        [name, *(f"{samples[at][name][0]} / {samples[at][name][1]}" for at in shown)]
        for name in PROCESSES
    ]
    return table(head, rows)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
