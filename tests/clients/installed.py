"""The client libraries, each installed as its lock says, in environments of their own.

They are kept in Sluice's cache folder, under the lock's hash. What cannot be installed here (no
Node, no registry) is a MissingError that says why.
"""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from serve.embedded.model import cache_folder

FOLDER = Path(__file__).parent
_PYTHON, _NODE = FOLDER / "python", FOLDER / "node"
_MOST_S = 600.0  # of an installation


class MissingError(Exception):
    """A client cannot be tried here; the message says why."""


@dataclass(frozen=True)
class Client:
    """A program that asks a gateway through one library."""

    name: str  # also its tenant
    package: str
    program: str  # file name; `.mjs`: of Node
    lock: str = "clients"  # of Python's

    @property
    def on_node(self) -> bool:
        """Whether Node runs it."""
        return self.program.endswith(".mjs")

    @property
    def version(self) -> str:
        """Of the package, as locked."""
        if self.on_node:
            return str(
                json.loads((_NODE / "package.json").read_text())["dependencies"][self.package]
            )
        locked = (_PYTHON / f"{self.lock}.txt").read_text()
        found = re.search(rf"^{re.escape(self.package)}==(\S+)", locked, re.MULTILINE)
        assert found, f"{self.package} is not in {self.lock}.txt"
        return found[1]

    def command(self) -> list[str]:
        """What starts the program; installs what it needs. Raises MissingError."""
        if self.on_node:
            return ["node", str(_node_environment() / self.program)]
        return [str(_python_environment(self.lock) / "bin/python"), str(_PYTHON / self.program)]


CLIENTS = (
    Client("openai-python", "openai", "openai_sdk.py"),
    Client("openai-node", "openai", "openai_sdk.mjs"),
    Client("anthropic-python", "anthropic", "anthropic_sdk.py"),
    Client("anthropic-node", "@anthropic-ai/sdk", "anthropic_sdk.mjs"),
    Client("litellm", "litellm", "litellm_sdk.py"),
    Client("langchain", "langchain-openai", "langchain_sdk.py"),
    Client("llama-index", "llama-index-llms-openai-like", "llama_index_sdk.py", "llama-index"),
    Client("instructor", "instructor", "instructor_sdk.py"),
    Client("pydantic-ai", "pydantic-ai-slim", "pydantic_ai_sdk.py"),
    Client("ai-sdk", "ai", "ai_sdk.mjs"),
)


def _python_environment(lock: str) -> Path:
    file = _PYTHON / f"{lock}.txt"
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    folder = _folder(lock, file.read_bytes() + python.encode())
    uv = str(Path(sys.executable).with_name("uv"))
    if not (folder / "done").exists():
        _installs([uv, "venv", "-q", "--clear", "--python", sys.executable, str(folder)])
        _installs([uv, "pip", "sync", "-q", "--python", str(folder / "bin/python"), str(file)])
        (folder / "done").touch()
    return folder


def _node_environment() -> Path:
    """Packages, and the programs beside them: there Node looks for what they import."""
    if not (shutil.which("node") and shutil.which("npm")):
        raise MissingError("neither node nor npm is installed here")
    locked = [_NODE / "package.json", _NODE / "package-lock.json"]
    folder = _folder("node", b"".join(file.read_bytes() for file in locked))
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "done").exists():
        for file in locked:
            shutil.copy(file, folder)
        _installs(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], folder)
        (folder / "done").touch()
    for program in _NODE.glob("*.mjs"):
        shutil.copy(program, folder)
    return folder


def _folder(name: str, content: bytes) -> Path:
    return cache_folder() / "clients" / f"{name}-{hashlib.sha256(content).hexdigest()[:12]}"


def _installs(command: list[str], folder: Path | None = None) -> None:
    try:
        subprocess.run(  # noqa: S603 - our own words
            command, cwd=folder, check=True, capture_output=True, text=True, timeout=_MOST_S
        )
    except (OSError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stderr", None) or str(error)).strip()
        last = said.splitlines()[-1] if said else type(error).__name__
        raise MissingError(f"{command[0].rpartition('/')[2]}: {last}") from error
