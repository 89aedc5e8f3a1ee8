"""Finds and ends every process that one start has left behind.

Ray's daemons, vLLM's engine and HAProxy outlive a killed parent, some in sessions of their own, so
neither parent nor process group finds them. But all of them inherit the environment: a mark set
there before the first child starts is on every descendant, and on no other process.

Standard library only, and runnable as a file: the guard below must start in milliseconds and
need little memory.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

RUN = "SLUICE_RUN"  # on everything that one `sluice serve` started
REPLICA = "SLUICE_REPLICA"  # on everything that one replica started: EngineCore and its workers

_POLL_S = 0.2  # how soon a guard notices that its parent is gone
_TRACKERS_S = 2.0  # for Python's resource trackers to clean up after their processes
_KILL_S = 20.0  # after SIGKILL; a process that hangs in a driver never ends
_OUR_MEMORY = ("psm_", "sem.mp-", "vllm_", "nccl-")  # names in /dev/shm that no other program uses


def mark(name: str) -> str:
    """Marks every child that this process starts from now on; the mark is "NAME=value"."""
    os.environ[name] = uuid.uuid4().hex
    # vLLM renames its processes, and setproctitle overwrites the environment that /proc shows.
    os.environ["SPT_NOENV"] = "1"
    return f"{name}={os.environ[name]}"


def guard(given: str, *, scratch: Path | None = None, logs: Path | None = None) -> None:
    """Starts a process that waits until this one has ended, then ends all that carry the mark.

    With `scratch` and `logs` it then calls `put_away`. It carries no mark itself.
    """
    name = given.partition("=")[0]
    environment = {k: v for k, v in os.environ.items() if k != name}
    told = [str(os.getpid()), given, *([str(scratch), str(logs)] if scratch and logs else [])]
    subprocess.Popen(  # noqa: S603 - our own file; never waited for: it outlives us
        [sys.executable, "-EPS", __file__, *told],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # shields it from Ctrl-C in the terminal
    )


def put_away(scratch: Path, logs: Path) -> None:
    """Moves the log files of an ended start to `logs`, and removes its other files.

    While it runs, `logs` is a link into `scratch`. May be called again.
    """
    if not scratch.exists():
        return
    logs.unlink(missing_ok=True)
    sessions = sorted(scratch.glob("r/session_2*/logs"))  # not session_latest, which is a link
    if sessions:
        shutil.move(sessions[-1], logs)
    shutil.rmtree(scratch, ignore_errors=True)


def marked(given: str) -> list[int]:
    """Living processes that carry the mark, except this one."""
    entry = given.encode()
    return [pid for pid in _pids() if pid != os.getpid() and _carries(pid, entry)]


def end(given: str, *, grace_s: float) -> list[int]:
    """Ends all that carry the mark: SIGTERM, after `grace_s` SIGKILL, repeated until none is left.

    Then removes their shared memory, some 160 MB per engine. Returns the ids it found.
    """
    first = marked(given)
    memory = {segment for pid in first for segment in _shared_memory(pid)}
    _signal(first, given, signal.SIGTERM)
    patience_ends_s = time.monotonic() + grace_s
    while marked(given) and time.monotonic() < patience_ends_s:
        time.sleep(_POLL_S / 4)
    killed_at_s = time.monotonic()
    while left := marked(given):  # a process about to die may just have started another
        memory |= {segment for pid in left for segment in _shared_memory(pid)}
        passed_s = time.monotonic() - killed_at_s
        if passed_s > _KILL_S:
            break
        late = passed_s > _TRACKERS_S
        _signal([pid for pid in left if late or not _tracks(pid)], given, signal.SIGKILL)
        time.sleep(_POLL_S / 4)
    for segment in memory:
        segment.unlink(missing_ok=True)
    return first


def _shared_memory(pid: int) -> Iterator[Path]:
    """Named segments that a process has mapped and that Python, vLLM or NCCL made for it alone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            name = line.rpartition("/dev/shm/")[2]  # noqa: S108 - Linux's place for it
            if name.startswith(_OUR_MEMORY):
                yield Path("/dev/shm", name)  # noqa: S108


def _tracks(pid: int) -> bool:
    """Whether it is a resource tracker, which ends by itself after its processes."""
    try:
        return b"multiprocessing.resource_tracker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def _pids() -> Iterator[int]:
    for entry in os.listdir("/proc"):  # noqa: PTH208 - a hundred times a second, without objects
        if entry.isdigit():
            yield int(entry)


def _carries(pid: int, entry: bytes) -> bool:
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:  # ended, a kernel thread, or of another user
        return False
    return entry in environment.split(b"\0")


def _signal(pids: list[int], given: str, number: signal.Signals) -> None:
    """Signals those that still carry the mark: a pid may have been reused."""
    for pid in pids:
        with contextlib.suppress(OSError):
            if _carries(pid, given.encode()):
                os.kill(pid, number)


def _wait_and_end(parent: int, given: str, *folders: str) -> None:
    while os.getppid() == parent:
        time.sleep(_POLL_S)
    end(given, grace_s=3.0)
    if folders:
        put_away(*map(Path, folders))


if __name__ == "__main__":
    _wait_and_end(int(sys.argv[1]), *sys.argv[2:])
