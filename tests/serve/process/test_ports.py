"""Starts at the same time get ports of their own, whatever each does with them and when."""

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from serve.process import ports

ROOT = Path(__file__).resolve().parents[3]
CHOOSE = (
    "import sys; from serve.process.ports import claim_ports\n"
    "ports, claim = claim_ports()\n"
    "print(ports.claim, flush=True); sys.stdin.read()\n"
)


@contextlib.contextmanager
def held(count: int) -> Iterator[list[ports.Ports]]:
    """So many starts of this process at once."""
    with contextlib.ExitStack() as claims:
        chosen = []
        for _ in range(count):
            range_, claim = ports.claim_ports()
            claims.enter_context(claim)
            chosen.append(range_)
        yield chosen


def test_the_ports_of_a_start_are_free_and_linux_hands_them_to_nobody_else() -> None:
    with held(1) as (other,), socket.socket() as taken:
        taken.bind(("127.0.0.1", other.fallback_proxy))
        port = other.fallback_proxy
        with held(100) as found:
            assert not any(each.claim <= port <= each.last for each in found)
            assert all(20_000 <= each.claim < each.last < 32_768 for each in found)
            assert len({each.claim for each in found}) == 100


def test_a_range_in_which_somebody_listens_is_not_taken() -> None:
    with held(1) as (mine,):
        port = mine.haproxy_stats
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        with held(100) as found:
            assert not any(each.claim <= port <= each.last for each in found)


def test_starts_that_choose_at_once_get_different_ports_until_they_end() -> None:
    # all begin with the same range
    first_come = CHOOSE.replace("import sys;", "import sys, random; random.shuffle = len;")
    command = [sys.executable, "-c", first_come]
    with contextlib.ExitStack() as starts:
        choosers = [
            starts.enter_context(
                subprocess.Popen(  # noqa: S603 - our own
                    command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
                )
            )
            for _ in range(3)
        ]
        chosen = [int(each.stdout.readline()) for each in choosers if each.stdout is not None]
        assert len(set(chosen)) == 3
        for each in choosers:
            each.kill()
            each.wait()
    for port in chosen:
        with socket.socket() as free:
            free.bind(("127.0.0.1", port))  # though its start was killed


def test_when_every_range_is_taken_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "_free", lambda first, end: False)
    with pytest.raises(OSError, match="no range of 100 ports between 20000 and 32000 is free"):
        ports.claim_ports()
