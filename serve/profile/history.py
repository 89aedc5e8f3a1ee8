"""The last admission settings, kept in the cache folder.

A replaced replica reads from here what an operator has changed since the start. A replica whose
first settings are bad reads the last ones that worked.
"""

import contextlib
import json
import logging
import os
import re
import tempfile
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from serve.embedded.model import cache_folder
from serve.profile.difference import Change

KEPT = 20  # some KB each

_log = logging.getLogger("sluice.settings")


class Via(StrEnum):
    """How settings came into force."""

    START = "start"  # a new start: the profile's section, or Serve's first user_config
    SERVE = "serve"  # another user_config from Serve
    PUT = "put"
    ROLLBACK = "rollback"
    RELOAD = "reload"  # SIGHUP: the profile read again


class Entry(BaseModel):
    """Settings that came into force, and where they came from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hash: str
    applied_at: str  # wall time, ISO 8601
    by: str | None  # the tenant whose key asked for it; None if no request did
    via: Via
    changed: list[Change]  # from the settings before; empty for the first of a start
    settings: dict[str, Any]  # the whole section
    start: str  # the start it belongs to: replicas of one start have one name for it
    heard: dict[str, str]  # by source (`serve`, `profile`): digest of its last settings

    def as_json(self) -> dict[str, Any]:
        """For operators; without the settings themselves."""
        return self.model_dump(mode="json", exclude={"settings", "start", "heard"})


_ENTRIES = TypeAdapter(list[Entry])


class History:
    """At most `KEPT` entries, oldest first; those of earlier starts of the profile included.

    Without `path` it is kept in memory only. Several processes may share a file: what one of them
    adds is in the file, but not in the memory of the others.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self.entries = _read(path)

    def add(self, entry: Entry) -> bool:
        """Takes `entry` as the newest; False when it could not be kept in the file. Never raises.

        Written to another file and renamed: a reader sees the whole old or the whole new file.
        """
        self.entries = _with(self.entries, entry)
        if self._path is None:
            return False
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with _replacing(self._path) as partial:
                partial.write_bytes(_ENTRIES.dump_json(_with(_read(self._path), entry), indent=1))
        except OSError as error:
            _log.warning(
                "the admission settings could not be kept in %s: %s", self._path, error.strerror
            )
            return False
        return True


def history_of(profile_name: str, *, folder: Path | None = None) -> History:
    """The history of a profile; `folder` in place of the cache folder."""
    name = re.sub(r"[^A-Za-z0-9._-]", "_", profile_name).lstrip(".") or "profile"
    return History((folder or cache_folder()) / "admission" / f"{name}.json")


def _with(entries: list[Entry], entry: Entry) -> list[Entry]:
    """Adds an entry, unless a replica of the same start has added it."""
    newest = entries[-1] if entries else None
    if newest and (newest.start, newest.hash, newest.via) == (entry.start, entry.hash, entry.via):
        return [*entries[:-1], entry]
    return [*entries, entry][-KEPT:]


def _read(path: Path | None) -> list[Entry]:
    """What is in the file; nothing (and a warning) when it cannot be used."""
    if path is None:
        return []
    try:
        return _ENTRIES.validate_python(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return []
    except (OSError, ValueError, RecursionError) as error:
        _log.warning("the admission settings kept in %s cannot be used: %s", path, _why(error))
        return []


def _why(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_input=False, include_url=False)[0]
        return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    return str(error)


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A new file that replaces `path` if the block succeeds."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(descriptor)
    partial = Path(name)
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
