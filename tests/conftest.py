"""What all tests share.

Async tests run on asyncio, the loop the gateway runs on. A busy machine is no failure: Hypothesis
has no deadline here, and few examples. What tests leave behind on the machine is named at the end.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "plain", max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("plain")

_MEMORY, _SCRATCH = Path("/dev/shm"), Path("/tmp")  # noqa: S108 - Linux's places for them
_FOUND = pytest.StashKey[set[Path]]()
_SOCKETS = pytest.StashKey[str]()


@pytest.fixture
def anyio_backend() -> str:
    """Coroutine tests and fixtures run once, on asyncio."""
    return "asyncio"


def pytest_configure(config: pytest.Config) -> None:
    """Notes what is there; vLLM's sockets, which it leaves, get a folder that is removed."""
    config.stash[_FOUND] = _ours()
    config.stash[_SOCKETS] = os.environ["VLLM_RPC_BASE_PATH"] = tempfile.mkdtemp(
        prefix="vllm-", dir=_SCRATCH
    )


def pytest_unconfigure(config: pytest.Config) -> None:
    """The folder of the sockets goes."""
    shutil.rmtree(config.stash[_SOCKETS], ignore_errors=True)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Folders and shared memory that came meanwhile and that no process uses: somebody's leak."""
    left = _ours() - config.stash[_FOUND]
    used = b"".join(_texts()) if left else b""
    for path in sorted(left):
        if os.fsencode(path) not in used:
            terminalreporter.write_line(f"left behind, by this run or another: {path}")


def _ours() -> set[Path]:
    names = ("psm_*", "sem.mp-*", "vllm_*", "nccl-*")
    return {*_SCRATCH.glob("sl-*"), *(path for name in names for path in _MEMORY.glob(name))}


def _texts() -> Iterator[bytes]:
    """What each process maps, and by which words and environment it was started."""
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            for name in ("maps", "environ", "cmdline"):
                try:
                    yield (process / name).read_bytes()
                except OSError:  # it has just ended, or is another user's
                    continue
