"""From nothing to a gateway that answers, and back to nothing, whoever ends it and however."""

import http.client
import json
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import yaml

from serve.process.cluster import require_free_port
from tests.live.conftest import OneAtATime
from tests.live.gateway import (
    ROOT,
    START_S,
    Gateway,
    NotStartedError,
    free_port,
    serve,
    start,
    wait_until,
    write_profile,
)

SERVE = Path(sys.executable).with_name("serve")  # Ray Serve's own command
GONE_S = 20.0  # the promise is "seconds"; the machine may be busy
DEATH_S = 400.0  # three failed health checks and a new engine


@pytest.fixture(scope="module")
def port() -> int:
    """The same for all: each start has to find what the one before it left."""
    return free_port()


@pytest.fixture
def started(gateway_of: OneAtATime) -> Iterator[list[Gateway]]:
    """Put what a test starts here: it is gone afterwards, and nothing else runs meanwhile."""
    gateway_of.end()
    gateways: list[Gateway] = []
    yield gateways
    for gateway in gateways:
        gateway.end()


def test_after_a_kill_nothing_is_left_and_the_same_port_is_free(
    started: list[Gateway], port: int, tmp_path: Path
) -> None:
    gateway = serve(write_profile(tmp_path), port=port, folder=tmp_path)
    started.append(gateway)
    gateway.wait_until_ready()
    assert _answer(gateway)
    assert _listening_beyond_loopback(gateway) == []

    second = serve(write_profile(tmp_path), port=port, folder=tmp_path)
    started.append(second)
    assert second.process.wait(START_S) == 2
    assert f"cannot listen on 127.0.0.1 port {port}" in second.written()
    assert "starting Ray" not in second.written()

    gateway.stop(signal.SIGKILL)
    wait_until(lambda: not gateway.living(), within_s=GONE_S)
    require_free_port("127.0.0.1", port)


def test_a_dead_engine_is_a_503_at_once_until_serve_has_replaced_it_and_sigterm_drains(
    started: list[Gateway], port: int, tmp_path: Path
) -> None:
    gateway = serve(write_profile(tmp_path), port=port, folder=tmp_path)
    started.append(gateway)
    gateway.wait_until_ready()

    (engine,) = gateway.find("EngineCore")
    psutil.Process(engine).kill()
    wait_until(lambda: not gateway.healthy(), within_s=5.0)
    statuses: list[int | None] = []

    def served_again() -> bool:
        statuses.append(gateway.get("/health"))
        return statuses[-1] == http.client.OK

    wait_until(served_again, within_s=DEATH_S)
    assert {*statuses} <= {http.client.SERVICE_UNAVAILABLE, http.client.OK, None}
    assert statuses.count(None) <= 1  # under way in the instant in which Serve ends the replica
    assert len(gateway.find("EngineCore")) == 1
    assert _answer(gateway)

    long = Stream(gateway, max_tokens=150)
    wait_until(lambda: long.chunks > 0, within_s=30.0)
    gateway.process.send_signal(signal.SIGTERM)
    wait_until(lambda: gateway.get("/health") == http.client.SERVICE_UNAVAILABLE, within_s=5.0)
    assert gateway.process.wait(90.0) == 0
    assert long.finished()
    wait_until(lambda: not gateway.living(), within_s=5.0)


def test_ctrl_c_ends_everything_though_a_stream_runs(
    started: list[Gateway], port: int, tmp_path: Path
) -> None:
    gateway = serve(write_profile(tmp_path), port=port, folder=tmp_path)
    started.append(gateway)
    gateway.wait_until_ready()
    long = Stream(gateway, max_tokens=4000)
    wait_until(lambda: long.chunks > 0, within_s=30.0)
    assert gateway.stop(signal.SIGINT, within_s=GONE_S) == 0
    wait_until(lambda: not gateway.living(), within_s=5.0)  # the guard notices last
    assert not long.finished()


def test_ctrl_c_while_it_starts_leaves_nothing(
    started: list[Gateway], port: int, tmp_path: Path
) -> None:
    gateway = serve(write_profile(tmp_path), port=port, folder=tmp_path)
    started.append(gateway)
    wait_until(lambda: bool(gateway.find("raylet")), within_s=START_S)
    assert gateway.stop(signal.SIGINT, within_s=GONE_S) == 0
    wait_until(lambda: not gateway.living(), within_s=5.0)


def test_an_engine_that_cannot_start_says_why_and_leaves_nothing(
    started: list[Gateway], port: int, tmp_path: Path
) -> None:
    too_small = write_profile(tmp_path, engine_args={"kv_cache_memory_bytes": 100_000})
    gateway = serve(too_small, port=port, folder=tmp_path)
    started.append(gateway)
    with pytest.raises(NotStartedError, match="No available memory for the cache blocks"):
        gateway.wait_until_ready()
    assert gateway.process.returncode == 4
    wait_until(lambda: not gateway.living(), within_s=5.0)


def test_serve_run_takes_the_builder_and_no_engine_outlives_it(
    started: list[Gateway], tmp_path: Path
) -> None:
    port = 8000  # Serve's default, which this way of starting cannot change
    require_free_port("127.0.0.1", port)
    words = ["run", "serve.app:build", f"config={write_profile(tmp_path)}"]
    gateway = start([str(SERVE), *words], port=port, folder=tmp_path)
    started.append(gateway)
    gateway.wait_until_ready()
    assert _answer(gateway)
    assert gateway.find("EngineCore")
    gateway.stop(signal.SIGKILL)
    wait_until(lambda: not gateway.find("EngineCore"), within_s=60.0)


def test_serves_yaml_with_our_environment_runs_behind_haproxy(
    started: list[Gateway], tmp_path: Path
) -> None:
    port = free_port()
    document = yaml.safe_load((ROOT / "deploy" / "serve-config.yaml").read_text())
    document["http_options"]["port"] = port
    (application,) = document["applications"]
    application["args"]["config"] = str(write_profile(tmp_path))
    application["deployments"][0]["user_config"]["mode"] = "shadow"
    (tmp_path / "serve.yaml").write_text(yaml.safe_dump(document))
    command = f". deploy/env.sh; exec {SERVE} run {tmp_path / 'serve.yaml'}"
    gateway = start(["bash", "-c", command], port=port, folder=tmp_path)
    started.append(gateway)
    gateway.wait_until_ready()
    assert _answer(gateway)
    assert gateway.find("haproxy")
    assert gateway.json("/v1/admission/state")["mode"] == "shadow"
    gateway.stop(signal.SIGINT, within_s=60.0)
    wait_until(lambda: not gateway.living(), within_s=20.0)


class Stream:
    """A chat stream that is read by a thread of its own until it ends or breaks."""

    def __init__(self, gateway: Gateway, *, max_tokens: int) -> None:
        self.chunks = 0
        self._done = False
        self._body = _chat(max_tokens=max_tokens, stream=True, ignore_eos=True)
        self._thread = threading.Thread(target=self._read, args=(gateway.port,), daemon=True)
        self._thread.start()

    def finished(self) -> bool:
        """Waits for its end; whether that was `[DONE]`."""
        self._thread.join(30.0)
        return self._done

    def _read(self, port: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        try:
            connection.request("POST", "/v1/chat/completions", self._body, _JSON)
            for line in connection.getresponse():
                self.chunks += 1
                self._done = self._done or line.startswith(b"data: [DONE]")
        except (OSError, http.client.HTTPException):
            pass  # cut: that is what some tests are about
        finally:
            connection.close()


_JSON = {"Content-Type": "application/json"}


def _chat(**fields: object) -> bytes:
    messages = [{"role": "user", "content": "Say hello."}]
    return json.dumps({"model": "smollm2-135m-instruct", "messages": messages, **fields}).encode()


def _answer(gateway: Gateway) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=120)
    try:
        connection.request("POST", "/v1/chat/completions", _chat(max_tokens=8), _JSON)
        document = json.load(connection.getresponse())
    finally:
        connection.close()
    return str(document["choices"][0]["message"]["content"])


def _listening_beyond_loopback(gateway: Gateway) -> list[str]:
    """Addresses on which a process of the gateway listens and others could reach it."""
    processes = [psutil.Process(pid) for pid in [gateway.process.pid, *gateway.living()]]
    return [
        f"{each.laddr.ip}:{each.laddr.port} of {process.name()}"
        for process in processes
        for each in process.net_connections("tcp")
        if each.status == psutil.CONN_LISTEN and not each.laddr.ip.endswith("127.0.0.1")
    ]
