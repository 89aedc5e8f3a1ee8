"""The client libraries, their versions and the programs that ask a gateway through them."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from tests.environments import node_environment, python_environment

_FOLDER = Path(__file__).parent
_PYTHON, _NODE = _FOLDER / "python", _FOLDER / "node"


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
            return ["node", str(node_environment(_NODE) / self.program)]
        environment = python_environment(_PYTHON / f"{self.lock}.txt")
        return [str(environment / "bin/python"), str(_PYTHON / self.program)]


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
