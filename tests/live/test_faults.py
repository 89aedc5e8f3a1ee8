"""Faults played against a gateway on the simulated engine: eight sequences, steps of 20 ms."""

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from tests.live.ask import nothing_held
from tests.live.clients import MODEL
from tests.live.conftest import OneAtATime
from tests.live.gateway import Gateway, wait_until
from tests.live.leaving import COMPLETE, every_leaver, leave_all

PROFILE: dict[str, Any] = {
    "engine": {"kind": "simulated"},
    "engine_args": {
        "max_model_len": 2048,
        "block_size": 32,
        "kv_cache_memory_bytes": 884_736_000,  # 600 blocks x 32 tokens x 46,080 bytes
        "max_num_batched_tokens": 1024,
        "max_num_seqs": 8,
        "async_scheduling": True,
    },
    "step_time": {"fixed_s": 0.02},
    "telemetry": {"access_log": "-"},
}
HELD_S = 5.0  # the promise of the issue; the leavers themselves take up to a second


@pytest.fixture
def faulty(gateway_of: OneAtATime) -> Gateway:
    return gateway_of(**PROFILE)


def test_a_caller_that_leaves_is_noticed_at_every_point_and_haproxy_rests(faulty: Gateway) -> None:
    (haproxy,) = faulty.find("haproxy.cfg")
    leavers = list(every_leaver())
    begun_s, used_s = time.monotonic(), _cpu_s(haproxy)
    asyncio.run(leave_all(faulty, MODEL, leavers, by_sdk=12))
    wait_until(lambda: nothing_held(faulty), within_s=HELD_S)

    lines = {line["id"]: line for line in _access_log(faulty)}
    stayed = [n for n, line in lines.items() if n.startswith("leaver") and not _left(line)]
    assert stayed == []
    arrived = {each.name for each in leavers if each.point in COMPLETE and each.point != "sent"}
    assert arrived <= lines.keys(), "one that left later than it had sent all was not logged"
    assert sum(name.startswith("leaver-sdk") for name in lines) == 12

    time.sleep(1.0)  # where one is not noticed HAProxy goes round in circles: all of a core
    elapsed_s, used_s = time.monotonic() - begun_s, _cpu_s(haproxy) - used_s
    assert used_s < 0.25 * elapsed_s, f"{used_s:.2f} s of CPU in {elapsed_s:.2f} s"


def _left(line: dict[str, Any]) -> bool:
    return bool(line.get("client_left", line["status"] == 499))


def _access_log(gateway: Gateway) -> list[dict[str, Any]]:
    lines = gateway.written().splitlines()
    return [json.loads(line) for line in lines if line.startswith('{"at"')]


def _cpu_s(pid: int) -> float:
    """CPU time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
