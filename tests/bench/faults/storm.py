"""Clients that leave at every point: `python -m tests.bench.faults.storm [--rounds 6]`.

Head and body in one packet or apart, streaming or not, queued or running, closed or reset, and
OpenAI's SDK whose patience ends. Ends with 1 if anything is held 5 s after the last has left.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.bench.faults.play import HELD_S, begin
from tests.bench.report import machine
from tests.live.ask import nothing_held, state_of
from tests.live.clients import MODEL
from tests.live.gateway import Gateway, free_port
from tests.live.leaving import every_leaver, leave_all

_BY_SDK = 12  # a round


def main(arguments: Sequence[str]) -> int:
    """Plays the rounds and judges each."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.faults.storm")
    parser.add_argument("--rounds", type=int, default=6)
    rounds = parser.parse_args(arguments).rounds
    with tempfile.TemporaryDirectory(prefix="sluice-storm-") as folder:
        gateway = begin(Path(folder), free_port(), ttft_deadline_s=120)  # none is refused
        try:
            held = [_round(gateway, number) for number in range(rounds)]
        finally:
            gateway.end()
    left = rounds * (len(list(every_leaver())) + _BY_SDK)
    sys.stdout.write(
        f"{machine()}: {left} clients left; free again after at most {max(held):.1f} s\n"
    )
    return int(max(held) > HELD_S)


def _round(gateway: Gateway, number: int) -> float:
    """Seconds from the last that left until nothing is held."""
    asyncio.run(leave_all(gateway, MODEL, list(every_leaver()), by_sdk=_BY_SDK))
    left_at_s = time.monotonic()
    while not nothing_held(gateway) and time.monotonic() < left_at_s + 30.0:
        time.sleep(0.1)
    free_s = time.monotonic() - left_at_s
    leases = state_of(gateway)["leases"]
    sys.stdout.write(f"round {number + 1}: free after {free_s:.1f} s, {leases} leases\n")
    sys.stdout.flush()
    return free_s


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
