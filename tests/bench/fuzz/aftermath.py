"""What a run leaves behind in a gateway: requests that are still held, memory, open files."""

import http.client
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

_HELD_S = 30.0  # after the last answer; promised are 2 s, the machine may be busy
_GROWN_BYTES = (
    700 * 2**20
)  # after the first fifth: EngineCore keeps up to 512 MiB of compiled forms
_GROWN_FILES = 60


@dataclass(frozen=True, slots=True)
class Sample:
    """All processes of a gateway together."""

    rss_bytes: int
    open_files: int


def sample(pids: Sequence[int]) -> Sample:
    """Those that have ended meanwhile count nothing."""
    rss, files = 0, 0
    for pid in pids:
        try:
            process = psutil.Process(pid)
            rss += process.memory_info().rss
            files += process.num_fds()
        except psutil.Error:
            continue
    return Sample(rss, files)


def growth(samples: Sequence[Sample]) -> str | None:
    """Complaint about processes that grew from their first fifth on; None where they did not."""
    if not samples:
        return None
    early, late = samples[len(samples) // 5], samples[-1]
    if late.rss_bytes - early.rss_bytes > _GROWN_BYTES:
        return f"memory grew from {early.rss_bytes >> 20} to {late.rss_bytes >> 20} MiB"
    if late.open_files - early.open_files > _GROWN_FILES:
        return f"open files grew from {early.open_files} to {late.open_files}"
    return None


def unsettled(address: tuple[str, int]) -> str | None:
    """What is still held, or why the gateway does not say; None when all is given back."""
    complaint: str | None = None
    end_s = time.monotonic() + _HELD_S
    while time.monotonic() < end_s:
        complaint = _held(address)
        if complaint is None:
            return None
        time.sleep(0.5)
    return complaint


def _held(address: tuple[str, int]) -> str | None:
    try:
        if _get(address, "/health")[0] != http.client.OK:
            return "the gateway is not healthy"
        state = json.loads(_get(address, "/v1/admission/state")[1])
    except (OSError, http.client.HTTPException, ValueError) as fault:
        return f"the gateway does not answer: {fault}"
    held = {
        "blocks held": state["kv"]["held_blocks"],
        "blocks promised": state["kv"]["projected_peak_blocks"],
        "requests in the queue": state["queue"]["requests"],
        "leases": state["leases"],
        "sequences": state["unfinished_sequences"],
    }
    left = ", ".join(f"{count} {name}" for name, count in held.items() if count)
    return f"still held after {_HELD_S:.0f} s: {left}" if left else None


def _get(address: tuple[str, int], path: str) -> tuple[int, bytes]:
    """Status and body."""
    connection = http.client.HTTPConnection(*address, timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()
