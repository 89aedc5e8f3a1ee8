"""The last admission section that worked, kept in the cache folder for a start with a bad one.

Serve keeps whatever user_config it was sent, good or bad, and starts the next replica with it. A
replica that finds it bad starts from what is stored here instead, and says so.
"""

import contextlib
import json
import logging
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from serve.embedded.model import cache_folder
from serve.profile.settings import AdmissionSection, ProfileError, parse_admission

_log = logging.getLogger("sluice.settings")


def save(section: AdmissionSection, profile_name: str, *, folder: Path | None = None) -> None:
    """Keep `section` as the last good one of this profile. Never raises: a start must not fail.

    Written aside and renamed, so that a reader sees the old section or the new one, whole.
    """
    path = _path(profile_name, folder)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _replacing(path) as partial:
            partial.write_text(json.dumps(section.mapping(), indent=2), encoding="utf-8")
    except OSError as error:
        _log.warning("the admission settings could not be kept in %s: %s", path, error.strerror)


def load(profile_name: str, *, folder: Path | None = None) -> AdmissionSection | None:
    """The section last saved for this profile; None (and a warning) when it cannot be used."""
    path = _path(profile_name, folder)
    try:
        return parse_admission(json.loads(path.read_text(encoding="utf-8")), source=str(path))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, ProfileError) as error:
        _log.warning("the admission settings kept in %s cannot be used: %s", path, error)
        return None


def _path(profile_name: str, folder: Path | None) -> Path:
    name = re.sub(r"[^A-Za-z0-9._-]", "_", profile_name).lstrip(".") or "profile"
    return (folder or cache_folder()) / "admission" / f"{name}.json"


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A file of its own beside `path` that takes its place when the block ends well."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(descriptor)
    partial = Path(name)
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
