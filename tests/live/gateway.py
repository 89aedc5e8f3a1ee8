"""A real gateway for a test: started as a user starts it, and gone afterwards whatever happens."""

import contextlib
import copy
import http.client
import itertools
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from serve.process import orphans

ROOT = Path(__file__).resolve().parents[2]
START_S = 420.0  # two cores that others use as well; half a minute on an idle machine
SERVE = Path(sys.executable).with_name("serve")  # Ray Serve's own command
_GUARDED_S = 15.0  # a guard takes 4
_TEST = "SLUICE_TEST"  # on everything that a test started, the guard included
# Above those that a gateway takes for itself, below those that Linux hands to clients: a port that
# is free now is free when the gateway comes to listen, however much Ray connects until then.
_PORTS = range(32_000, 32_768)
_next_ports = itertools.cycle(random.sample(_PORTS, len(_PORTS)))


class NotStartedError(AssertionError):
    """The gateway ended before it was ready; the message is what it wrote."""


@dataclass(frozen=True)
class Gateway:
    """One `sluice serve` (or another command) and everything it started."""

    process: subprocess.Popen[bytes]
    port: int
    output: Path  # what it wrote, access log included
    mark: str

    @property
    def url(self) -> str:
        """Without a slash at the end; append `/v1` for OpenAI's SDK."""
        return f"http://127.0.0.1:{self.port}"

    def written(self) -> str:
        """Everything so far."""
        return self.output.read_text(errors="replace")

    @property
    def profile(self) -> Path:
        """The file that it was started with."""
        words = [str(word) for word in self.process.args]
        return Path(words[words.index("--config") + 1])

    def told(self, text: str) -> int:
        """How many lines of its output contain `text`."""
        return sum(text in line for line in self.written().splitlines())

    def logs(self, names: str) -> str:
        """Everything in those of its log files, e.g. "serve/replica_*.log"."""
        told = re.findall(r"^  logs +(\S+)$", self.written(), re.MULTILINE)
        files = sorted(Path(told[0]).glob(names)) if told else []
        return "".join(file.read_text(errors="replace") for file in files)

    def living(self) -> list[int]:
        """Processes that it started, directly or not, and that have not ended."""
        return orphans.marked(self.mark)

    def find(self, title: str) -> list[int]:
        """Those whose command line contains `title`, e.g. "EngineCore" or "haproxy"."""
        return [pid for pid in self.living() if title in _command_of(pid)]

    def healthy(self) -> bool:
        """Whether GET /health answers 200."""
        return self.get("/health") == http.client.OK

    def draining(self) -> bool:
        """Whether it is up and refuses because it drains; a resume undoes that."""
        try:
            return bool(self.json("/health") == {"status": "draining"})
        except (OSError, ValueError):
            return False

    def get(self, path: str, *, timeout_s: float = 10.0) -> int | None:
        """The status of a GET; None when nobody answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except OSError:
            return None
        finally:
            connection.close()

    def json(self, path: str) -> Any:
        """What a GET answers, e.g. "/v1/admission/state"."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            return json.load(connection.getresponse())
        finally:
            connection.close()

    def wait_until_ready(self) -> None:
        """Returns when it answers; raises NotStartedError with its words when it ends instead.

        `sluice serve` says that it is ready a moment later, and from then on it watches its parts.
        """
        tells = "serve.commands.cli" in self.process.args

        def ready_or_ended() -> bool:
            ready = self.healthy() and (not tells or self.told("Sluice is ready") == 1)
            return ready or self.process.poll() is not None

        wait_until(ready_or_ended, within_s=START_S, every_s=0.5, what=self.written)
        if self.process.poll() is not None:
            raise NotStartedError(self.written())

    def stop(self, number: signal.Signals = signal.SIGINT, *, within_s: float = 60.0) -> int:
        """Sends a signal and waits for the end; the exit code."""
        self.process.send_signal(number)
        return self.process.wait(within_s)

    def end(self) -> None:
        """The last resort of a fixture, whatever state it is in.

        The guard of a killed launcher ends the rest and removes its folders; the mark finds what is
        left where there is none, or where it fails.
        """
        self.process.kill()
        self.process.wait(10.0)
        end_s = time.monotonic() + _GUARDED_S
        while self.find("serve/process/orphans.py") and time.monotonic() < end_s:
            time.sleep(0.1)
        orphans.end(self.mark, grace_s=5.0)


def start(command: list[str], *, port: int, folder: Path, **environment: str) -> Gateway:
    """Runs `command` from the checkout with its output in a file; returns at once."""
    name = uuid.uuid4().hex
    output = folder / f"{name}.txt"
    with output.open("wb") as file:
        process = subprocess.Popen(  # noqa: S603 - our own
            ["/usr/bin/env", "--default-signal=INT", *command],  # a shell's `&` has it ignored
            cwd=ROOT,
            env=os.environ | environment | {_TEST: name},
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a Ctrl-C meant for pytest
        )
    return Gateway(process, port, output, f"{_TEST}={name}")


def serve(profile: Path, *, port: int, folder: Path) -> Gateway:
    """`sluice serve --config profile --port port`; returns at once."""
    words = [sys.executable, "-m", "serve.commands.cli", "serve", "--config", str(profile)]
    return start([*words, "--port", str(port)], port=port, folder=folder)


def write_profile(folder: Path, *, base: str = "smollm2-cpu", **changes: Mapping[str, Any]) -> Path:
    """configs/smollm2-cpu.yaml, or another, with some keys of some sections changed.

    `write_profile(folder, engine_args={"max_num_seqs": 4}, admission={"mode": "off"})`.
    """
    profile = yaml.safe_load((ROOT / "configs" / f"{base}.yaml").read_text())
    silent = {"telemetry": {"access_log": None}}
    for section, keys in [*silent.items(), *copy.deepcopy(changes).items()]:
        profile.setdefault(section, {}).update(keys)
    path = folder / f"profile-{uuid.uuid4().hex[:8]}.yaml"
    path.write_text(yaml.safe_dump(profile))
    return path


def free_port() -> int:
    """A TCP port that nobody uses now; the next call gives another."""
    for port in itertools.islice(_next_ports, len(_PORTS)):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError(f"no port of {_PORTS} is free")


def wait_until(
    true: Callable[[], bool],
    *,
    within_s: float,
    every_s: float = 0.1,
    what: Callable[[], str] = str,
) -> None:
    """Returns once `true()` is; fails after `within_s` with what `what` says."""
    end_s = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end_s, f"not within {within_s} s: {what()}"
        time.sleep(every_s)


def _command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""
