"""Keeps the logs of earlier starts: the newest, and failed ones.

A supervisor that keeps restarting a broken service must not lose the log of the first failure. So
failed starts are kept for some days within a bound. Beyond it those go first that came soonest
after another failure.
"""

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

from serve.process import orphans
from serve.process.last_words import last_words

NAME = "%Y-%m-%d-%H%M%S"  # and "-" and the launcher's process id
_NEWEST = 10  # kept in any case; some MB each
_BAD_DAYS = 14
_BAD_BYTES = 500_000_000


def name_of(process_id: int) -> str:
    """The folder name of a start that begins now."""
    return time.strftime(f"{NAME}-{process_id}")


def tidy(all_logs: Path, *, now_s: float) -> None:
    """Cleans up after starts that were killed, and removes logs that are not worth keeping."""
    for link in all_logs.iterdir():
        if link.is_symlink():
            _put_away(link)
    folders = sorted(each for each in all_logs.iterdir() if each.is_dir() and not each.is_symlink())
    older = folders[:-_NEWEST]
    kept = _worth_keeping(older, now_s)
    for folder in older:
        if folder not in kept:
            shutil.rmtree(folder, ignore_errors=True)
            folder.with_suffix(".access").unlink(missing_ok=True)


def _put_away(link: Path) -> None:
    """Does what the guard of a start could not, since it was killed or the machine went off."""
    scratch = link.readlink().parents[2]  # SCRATCH/r/session_latest/logs
    if not scratch.exists():
        link.unlink(missing_ok=True)
    elif not _in_use(scratch, launcher=link.name.rpartition("-")[2]):
        with contextlib.suppress(OSError, shutil.Error):  # its guard may do the same now
            orphans.put_away(scratch, link)


def _in_use(scratch: Path, *, launcher: str) -> bool:
    """Whether the launcher, its guard or anything it started is alive."""
    name = os.fsencode(scratch)
    return Path("/proc", launcher).exists() or any(
        name in _read(process / "environ") + _read(process / "cmdline")
        for process in Path("/proc").iterdir()
        if process.name.isdigit()
    )


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:  # it has just ended, or belongs to another user
        return b""


def _worth_keeping(folders: Iterable[Path], now_s: float) -> set[Path]:
    """Logs of the last days with an error, within the bound."""
    recent = [(folder, began_s) for folder in folders if (began_s := _began_s(folder)) is not None]
    bad = [
        (folder, began_s)
        for folder, began_s in recent
        if now_s - began_s < _BAD_DAYS * 86_400 and last_words(folder, lines=1)
    ]
    return within(_BAD_BYTES, bad, size_of=_size_bytes)


def within(
    bound_bytes: int, bad: list[tuple[Path, float]], *, size_of: Callable[[Path], int]
) -> set[Path]:
    """The folders that stay within the bound, of (folder, start time in s) in order."""
    before = [float("-inf"), *(began_s for _, began_s in bad)]
    after_s = [began_s - last_s for (_, began_s), last_s in zip(bad, before, strict=False)]
    kept, room = set(), bound_bytes
    for _, (folder, _) in sorted(zip(after_s, bad, strict=True), reverse=True):
        size_bytes = size_of(folder)
        if size_bytes <= room:
            kept.add(folder)
            room -= size_bytes
    return kept


def _began_s(folder: Path) -> float | None:
    """Start time by the folder's name; None for a foreign folder."""
    try:
        return datetime.strptime(folder.name.rpartition("-")[0], NAME).astimezone(UTC).timestamp()
    except ValueError:
        return None


def _size_bytes(folder: Path) -> int:
    return sum(file.lstat().st_size for file in folder.rglob("*") if not file.is_dir())
