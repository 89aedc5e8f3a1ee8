"""Environments of their own for what must not share ours, each as its lock says.

They are kept in Sluice's cache folder, under the lock's hash. What cannot be installed here (no
Node, no registry) is a MissingError that says why.
"""

import hashlib
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from serve.embedded.model import cache_folder

_ROOT = Path(__file__).resolve().parents[1]
_MOST_S = 900.0  # of an installation
# uv as `make setup` calls it, which asks pip's configuration where packages are.
_UV = ["bash", "-c", 'source deploy/packages.sh; find_packages /dev/null; uv "$@"', "uv"]
_DONE = "done"


class MissingError(Exception):
    """Something cannot be installed here; the message says why."""


def python_environment(lock: Path, *, borrows: bool = False) -> Path:
    """Folder of a virtual environment with the packages of `lock`.

    With `borrows` it finds in ours what the lock leaves out, such as torch, whose wheels are large.
    """
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    folder = _folder(lock.stem, lock.read_bytes() + python.encode())
    if not (folder / _DONE).exists():
        _install([*_UV, "venv", "-q", "--clear", "--python", sys.executable, str(folder)])
        _install([*_UV, "pip", "sync", "-q", "--python", str(folder / "bin/python"), str(lock)])
        if borrows:
            ours = sysconfig.get_path("purelib")
            (folder / f"lib/python{python}/site-packages/zz-ours.pth").write_text(f"{ours}\n")
        (folder / _DONE).touch()
    return folder


def node_environment(source: Path) -> Path:
    """Folder with the packages of `source`'s package-lock.json, and its programs beside them.

    Node looks beside a program for what it imports.
    """
    if not (shutil.which("node") and shutil.which("npm")):
        raise MissingError("neither node nor npm is installed here")
    locked = [source / "package.json", source / "package-lock.json"]
    folder = _folder("node", b"".join(file.read_bytes() for file in locked))
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / _DONE).exists():
        for file in locked:
            shutil.copy(file, folder)
        _install(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], folder)
        (folder / _DONE).touch()
    for program in source.glob("*.mjs"):
        shutil.copy(program, folder)
    return folder


def _folder(name: str, content: bytes) -> Path:
    digest = hashlib.sha256(content).hexdigest()[:12]
    return cache_folder() / "environments" / f"{name}-{digest}"


def _install(command: Sequence[str], folder: Path = _ROOT) -> None:
    try:
        subprocess.run(  # noqa: S603 - our own words
            command, cwd=folder, check=True, capture_output=True, text=True, timeout=_MOST_S
        )
    except (OSError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stderr", None) or str(error)).strip()
        last = said.splitlines()[-1] if said else type(error).__name__
        raise MissingError(last) from error
