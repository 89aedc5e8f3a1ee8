"""The Ray processes that a gateway depends on, found by title and watched by process id."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from serve.process import orphans

# part of the command line -> name; Ray restarts these
REPLACED = {
    "ray::ServeController": "Ray Serve's controller",
    "ray::HAProxyManager": "HAProxy's manager",
}
# these it does not: the rest of Ray ends some time after them
NEEDED = {
    "raylet/raylet": "Ray's raylet",
    "gcs/gcs_server": "Ray's GCS",
}

# the kind of fault by name, for the metrics
KINDS = {
    "Ray Serve's controller": "controller",
    "HAProxy's manager": "haproxy_manager",
    "Ray's raylet": "raylet",
    "Ray's GCS": "gcs",
}


@dataclass(frozen=True, slots=True)
class _Process:
    """A process by id and start time, since ids are reused."""

    pid: int
    started_ticks: int


class Daemons:
    """The daemons of one start."""

    def __init__(self, mark: str) -> None:
        self._mark = mark
        self._known: dict[str, _Process] = {}
        self._looked = False

    def ended(self) -> list[str]:
        """The names of those that have ended since the last call, e.g. "Ray's raylet".

        The first call also names those that Ray does not replace and that are missing.
        """
        gone = [name for name, process in self._known.items() if _life(process.pid) != process]
        for name in gone:
            del self._known[name]
        self._find()
        if not self._looked:
            self._looked = True
            gone += [name for name in NEEDED.values() if name not in self._known]
        return gone

    def _find(self) -> None:
        names = NEEDED | REPLACED
        if len(self._known) == len(names):
            return
        # The oldest: a child has its parent's command line until it runs its own program.
        living = [(life, _title(life.pid)) for life in _lives(orphans.marked(self._mark))]
        for part, name in names.items():
            if name not in self._known:
                found = [life for life, title in living if part in title]
                if found:
                    self._known[name] = min(found, key=lambda life: life.started_ticks)


def _lives(pids: Iterable[int]) -> Iterator[_Process]:
    return (life for pid in pids if (life := _life(pid)))


def _title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except (OSError, UnicodeDecodeError):
        return ""


def _life(pid: int) -> _Process | None:
    """None once it has ended, even as a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else _Process(pid, int(fields[19]))
