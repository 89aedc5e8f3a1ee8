"""The launcher that runs in place of HAProxy, with the real HAProxy and a replica of two lines.

No Ray: what Ray writes, and how it starts HAProxy, is in `test_config.py` and played here.
"""

import contextlib
import http.client
import http.server
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from serve.process.haproxy import config, launcher
from serve.process.haproxy.front import Front, look
from serve.process.ports import claim_ports
from tests.serve.process.haproxy.test_config import BackendConfig, ServerConfig, written_by_ray


class Replica(http.server.BaseHTTPRequestHandler):
    """Answers every GET."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@dataclass
class Machine:
    """A folder as Ray has it for one node, and the HAProxy processes started there."""

    files: Path
    port: int
    replica_port: int
    started: list["subprocess.Popen[bytes]"] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        return self.files / "node"

    def write(self, *, backend: bool, stats: int) -> Path:
        """As a manager does before each start of HAProxy."""
        server = ServerConfig(name="replica", host="127.0.0.1", port=self.replica_port)
        gateway = BackendConfig(
            name="http-default", path_prefix="/", servers=[server], app_name="default"
        )
        text = written_by_ray(self.folder, {"http-default": gateway} if backend else {})
        for ray, ours in ((":8000", self.port), (":8404", stats), (":9101", stats + 1)):
            text = text.replace(ray, f":{ours}")
        file = self.folder / "haproxy.cfg"
        file.write_text(text)
        return file

    def launch(self, file: Path, *more: str) -> "subprocess.Popen[bytes]":
        """As a manager does; inside `sluice serve`."""
        command = [sys.executable, "-EP", launcher.__file__, "-db", "-f", str(file), "-dR", *more]
        process = subprocess.Popen(  # noqa: S603 - our own
            command, env=os.environ | {"SLUICE_RUN": "x"}, stderr=subprocess.DEVNULL
        )
        self.started.append(process)
        return process

    def get(self) -> int | str:
        """The status of a GET, or why there is none."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", "/health")
            response = connection.getresponse()
            response.read()
        except (OSError, http.client.HTTPException) as error:
            return type(error).__name__
        finally:
            connection.close()
        return response.status


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    (tmp_path / "node").mkdir()
    ports, claim = claim_ports()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", ports.last), Replica)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    here = Machine(tmp_path, ports.fallback_proxy, ports.last)
    try:
        yield here
    finally:
        server.shutdown()
        server.server_close()
        for pid in launcher.running(here.folder):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
        for process in here.started:
            process.wait()
        claim.close()


def test_a_killed_haproxy_is_stood_in_for_until_rays_next_one_takes_over(machine: Machine) -> None:
    stats = machine.port + 10
    first = machine.launch(machine.write(backend=True, stats=stats))
    _wait_until(lambda: machine.get() == 200)
    front = Front(
        ("127.0.0.1", machine.port),
        machine.files,
        log=machine.files / "log",
        tell=machine.told.append,
    )
    try:
        first.kill()
        first.wait()
        _wait_until(lambda: "HAProxy answers again" in machine.told)
        assert machine.get() == 200
        assert len([line for line in machine.told if "has ended" in line]) == 1
        (stand_in,) = launcher.running(machine.folder)

        # A new manager knows no application yet; callers must not notice, nor of the change.
        statuses: set[int | str] = set()
        second = machine.launch(machine.write(backend=False, stats=stats))
        _wait_until(lambda: _noted(machine, statuses) and _gone(stand_in))
        assert statuses == {200}
        assert launcher.running(machine.folder) == [second.pid]
        assert _pid_behind(machine.folder / "admin.sock") == second.pid, "Ray demands its own child"
    finally:
        front.end()


def test_haproxy_outlives_its_manager_and_hands_over_to_the_next_ones(machine: Machine) -> None:
    stats = machine.port + 10
    orphan = machine.launch(machine.write(backend=True, stats=stats))
    _wait_until(lambda: machine.get() == 200)
    statuses: set[int | str] = set()
    next_one = machine.launch(machine.write(backend=False, stats=stats))
    _wait_until(lambda: _noted(machine, statuses) and orphan.poll() is not None)
    assert statuses == {200}
    assert _pid_behind(machine.folder / "admin.sock") == next_one.pid


def test_before_anything_was_served_there_is_nothing_to_stand_in_for(machine: Machine) -> None:
    assert launcher.start_stand_in(machine.folder, log=machine.files / "log") is None
    assert look("127.0.0.1", machine.port) == "refuses"


def test_what_haproxy_says_before_it_knows_an_application_is_ours(machine: Machine) -> None:
    machine.launch(machine.write(backend=False, stats=machine.port + 10))
    _wait_until(lambda: look("127.0.0.1", machine.port) == "answers")
    assert machine.get() == 503
    assert config.has_backend((machine.folder / "haproxy.cfg").read_text()) is False


def _noted(machine: Machine, statuses: set[int | str]) -> bool:
    statuses.add(machine.get())
    return True


def _gone(pid: int) -> bool:
    return (
        not Path(f"/proc/{pid}/cmdline").exists() or not Path(f"/proc/{pid}/cmdline").read_bytes()
    )


def _pid_behind(path: Path) -> int:
    with socket.socket(socket.AF_UNIX) as admin:
        admin.connect(str(path))
        admin.sendall(b"show info\n")
        text = b"".join(iter(lambda: admin.recv(65536), b"")).decode()
    return int(next(line for line in text.splitlines() if line.startswith("Pid:")).split()[1])


def _wait_until(true: Callable[[], bool], within_s: float = 30.0) -> None:
    end_s = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end_s
        time.sleep(0.02)
