"""Where lines of a log go: a file that stays within bounds and has whole lines, or our output."""

import contextlib
import fcntl
import logging
import os
import stat
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Protocol

_log = logging.getLogger("sluice.logs")

_NEVER_ROTATED = ("/proc/", "/dev/")  # names of somebody's open file, not of a file


class Sink(Protocol):
    """What takes lines, one caller at a time."""

    def append(self, lines: Sequence[bytes]) -> tuple[int, OSError | None]:
        """Writes `lines`, each with its newline.

        Returns how many were written whole, and what kept the others out.
        """
        ...

    def reopen(self) -> None:
        """Continues in the file that has the name now; OSError leaves the one before in use."""
        ...

    def close(self) -> None:
        """Nothing is appended after this."""
        ...


class LogFile:
    """A file that is appended to. Raises OSError when it cannot be opened.

    Before it grows beyond `max_bytes` it becomes NAME.1, the one before it NAME.2, up to `kept`; 0
    bytes = never, for a file that something else rotates. Several processes may append to one file.
    """

    def __init__(self, path: Path, *, max_bytes: int = 0, kept: int = 0) -> None:
        self._path = path
        self._max_bytes = 0 if str(path).startswith(_NEVER_ROTATED) else max_bytes
        self._kept = kept
        self._rotation_failed = False
        self._fd = _open(path)
        self._torn = _ends_torn(path)

    def append(self, lines: Sequence[bytes]) -> tuple[int, OSError | None]:
        """As `Sink.append`. What a full disk cut in half ends before the next line begins."""
        text = (b"\n" if self._torn else b"") + b"".join(lines)
        repairs = int(self._torn)
        self._make_room(len(text))
        written, error = 0, None
        try:
            while written < len(text):
                written += os.write(self._fd, text[written:] if written else text)
        except OSError as caught:
            error = caught
        done = text[:written]
        if done:
            self._torn = not done.endswith(b"\n")
        return max(0, done.count(b"\n") - repairs), error

    def reopen(self) -> None:
        """As `Sink.reopen`."""
        fd = _open(self._path)  # first: what cannot be opened must not cost the file that is open
        os.close(self._fd)
        self._fd = fd
        self._torn = _ends_torn(self._path)

    def close(self) -> None:
        """As `Sink.close`."""
        os.close(self._fd)

    def _make_room(self, more_bytes: int) -> None:
        if not self._max_bytes:
            return
        try:
            found = os.fstat(self._fd)
            if stat.S_ISREG(found.st_mode) and 0 < found.st_size > self._max_bytes - more_bytes:
                self._rotate()
            self._rotation_failed = False
        except OSError as error:
            if not self._rotation_failed:  # lines that are kept are worth more than a bound
                _log.warning("%s could not be rotated and goes on growing: %s", self._path, error)
            self._rotation_failed = True

    def _rotate(self) -> None:
        fcntl.flock(self._fd, fcntl.LOCK_EX)  # other replicas may write to the same file
        try:
            if _is_named(self._fd, self._path):  # else another process has just rotated it
                self._shift()
            self.reopen()  # closes the file, and the lock with it
        except OSError:
            fcntl.flock(self._fd, fcntl.LOCK_UN)
            raise

    def _shift(self) -> None:
        names = [self._path, *(Path(f"{self._path}.{n}") for n in range(1, self._kept + 1))]
        names[-1].unlink(missing_ok=True)
        for name, older in reversed(list(pairwise(names))):
            with contextlib.suppress(FileNotFoundError):
                name.rename(older)


class StandardOutput:
    """Output of the process itself."""

    def append(self, lines: Sequence[bytes]) -> tuple[int, OSError | None]:
        """As `Sink.append`."""
        try:
            sys.stdout.write(b"".join(lines).decode())
            sys.stdout.flush()
        except (OSError, ValueError) as error:  # ValueError: it is closed
            return 0, error if isinstance(error, OSError) else OSError(str(error))
        return len(lines), None

    def reopen(self) -> None:
        """It has no name to be opened by."""

    def close(self) -> None:
        """It is not ours to close."""


def _open(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)


def _ends_torn(path: Path) -> bool:
    """Whether a writer that is gone left half a line."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode) and file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            return file.read(1) != b"\n"
    return False


def _is_named(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False
