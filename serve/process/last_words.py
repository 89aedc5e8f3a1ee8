"""Finds the cause of a failed start in the last lines of the log files."""

import re
from pathlib import Path

_TOLD = re.compile(
    r"ERROR|CRITICAL|Error:|Exception:|\[ALERT\]|Killed|out of memory", re.IGNORECASE
)
_NOISE = re.compile(
    r"^\s*(?:File \"|raise )|Traceback|~~~|\^\^\^|for more info"  # frames
    r"|root cause above|RayTaskError|Exception in Replica|Failed to update the deployments",
    re.IGNORECASE,
)
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
# "INFO 2026-11-22 11:37:44,123 default_Gateway x1y2 -- " before what a replica wrote to its output
_SERVE_PREFIX = re.compile(r"^INFO [\d-]+ [\d:,]+ \S+ \S+ (?:\S+ )?-- ")
# "(EngineCore pid=7) ERROR 11-22 11:37:44 [core.py:900] " before each line of a vLLM traceback
_VLLM_PREFIX = re.compile(r"^\([^)]*pid=\d+\) (?:ERROR|CRITICAL) [\d: -]+\[[\w/.-]+:\d+\] ")
_EXCEPTION = re.compile(r"^\w[\w.]*(?:Error|Exception)\b")
_MODULE = re.compile(r"^(?:\w+\.)+")
_TAIL_BYTES = 200_000
_WIDTH = 300  # vLLM prints whole configurations in one line


def last_words(logs: Path, *, lines: int = 12) -> list[str]:
    """The last error lines in a start's log files, oldest first, without repeats.

    Replicas and engines write to worker-*, HAProxy and Serve to serve/.
    """
    found: dict[str, None] = {}
    files = [*logs.glob("worker-*"), *logs.glob("serve/*.log")]
    for file in sorted(files, key=lambda each: each.stat().st_mtime):
        for written in _tail(file).splitlines():
            line = _VLLM_PREFIX.sub("", _SERVE_PREFIX.sub("", _COLOUR.sub("", written)))
            if _TOLD.search(line) and not _NOISE.search(line):
                found[line.strip()[:_WIDTH]] = None
    return list(found)[-lines:]


def cause(traceback: str) -> str:
    """The last line of a traceback that names an exception, without its module."""
    lines = _COLOUR.sub("", traceback).strip().splitlines()
    named = [line for line in lines if _EXCEPTION.match(line)]
    last = named[-1] if named else lines[-1] if lines else "no message"
    return _MODULE.sub("", last).replace(" See root cause above.", "")[:_WIDTH]


def _tail(file: Path) -> str:
    with file.open("rb") as stream:
        stream.seek(max(0, file.stat().st_size - _TAIL_BYTES))
        return stream.read().decode(errors="replace")
