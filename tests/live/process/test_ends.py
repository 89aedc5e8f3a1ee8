"""From nothing to a gateway that answers, and back to nothing, whoever ends it and however.

Two more ends stand where another module has no more use for its gateway: SIGTERM in
`test_simulated.py`, Ctrl-C in `test_storms.py`; `serve run` of the builder in
`test_tensor_parallel.py`.
"""

import http.client
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
import yaml

from serve.process.cluster import require_free_port
from tests.live.clients import GOOD, send
from tests.live.conftest import OneAtATime
from tests.live.gateway import (
    ROOT,
    SERVE,
    START_S,
    Gateway,
    NotStartedError,
    free_port,
    serve,
    start,
    wait_until,
    write_profile,
)

CHAT = "/v1/chat/completions"
LONG = {"max_tokens": 1500, "ignore_eos": True}
REPLICA_LOG = "serve/replica_*.log"
GONE_S = 20.0  # the promise is "seconds"; the machine may be busy
DEATH_S = 400.0  # three failed health checks and a new engine


def test_a_dead_engine_is_a_503_at_once_until_serve_has_replaced_it(gateway: Gateway) -> None:
    settings = gateway.json("/v1/admission/settings") | {"ttft_deadline_max_s": 121}
    changed = send(gateway, "PUT", "/v1/admission/settings", settings, {"If-Match": "*"})
    assert changed.document["kept"]
    before = gateway.json("/v1/admission/state")
    (engine,) = gateway.find("EngineCore")
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(
            send, gateway, "POST", CHAT, {**GOOD[CHAT], **LONG}, {"x-request-id": "findme"}
        )
        wait_until(lambda: bool(gateway.json("/v1/admission/state")["leases"]), within_s=20.0)
        psutil.Process(engine).kill()
        assert asked.result().status == http.client.SERVICE_UNAVAILABLE
    wait_until(lambda: not gateway.healthy(), within_s=5.0)
    wait_until(lambda: "the engine died with" in gateway.logs(REPLICA_LOG), within_s=5.0)
    written = gateway.logs(REPLICA_LOG)
    its_lines = [line for line in written.splitlines() if " findme -- " in line]
    assert any("Request findme failed in the app" in line for line in its_lines)
    assert "Traceback" in written
    assert "EngineDeadError" in written
    assert "(EngineCore pid=" in gateway.logs("worker-*.out*")
    statuses: list[int | None] = []

    def served_again() -> bool:
        statuses.append(gateway.get("/health"))
        return statuses[-1] == http.client.OK

    wait_until(served_again, within_s=DEATH_S)
    assert {*statuses} <= {http.client.SERVICE_UNAVAILABLE, http.client.OK, None}
    assert statuses.count(None) <= 1  # under way in the instant in which Serve ends the replica
    assert len(gateway.find("EngineCore")) == 1
    assert _answer(gateway)
    after = gateway.json("/v1/admission/state")
    assert after["replica"] != before["replica"]
    assert after["serve_replica"] != before["serve_replica"]
    held = ("hash", "applied_at", "via", "by")
    assert [after["config"][key] for key in held] == [before["config"][key] for key in held]
    assert after["config"]["via"] == "put", "an operator's settings outlive the replica"


def test_after_a_kill_nothing_is_left_and_the_same_port_is_free(
    gateway: Gateway, tmp_path: Path
) -> None:
    assert _answer(gateway)
    assert _listening_beyond_loopback(gateway) == []

    second = serve(write_profile(tmp_path), port=gateway.port, folder=tmp_path)
    try:
        assert second.process.wait(START_S) == 2
    finally:
        second.end()
    assert f"cannot listen on 127.0.0.1 port {gateway.port}" in second.written()
    assert "starting Ray" not in second.written()

    gateway.stop(signal.SIGKILL)
    wait_until(lambda: not gateway.living(), within_s=GONE_S)
    require_free_port("127.0.0.1", gateway.port)


def test_ctrl_c_while_it_starts_leaves_nothing(
    started: list[Gateway], gateway_of: OneAtATime, tmp_path: Path
) -> None:
    gateway = serve(write_profile(tmp_path), port=gateway_of.port, folder=tmp_path)
    started.append(gateway)
    wait_until(lambda: bool(gateway.find("raylet")), within_s=START_S)
    assert gateway.stop(signal.SIGINT, within_s=GONE_S) == 0
    wait_until(lambda: not gateway.living(), within_s=5.0)


def test_an_engine_that_cannot_start_says_why_and_leaves_nothing(
    started: list[Gateway], gateway_of: OneAtATime, tmp_path: Path
) -> None:
    too_small = write_profile(tmp_path, engine_args={"kv_cache_memory_bytes": 100_000})
    gateway = serve(too_small, port=gateway_of.port, folder=tmp_path)
    started.append(gateway)
    with pytest.raises(NotStartedError, match="No available memory for the cache blocks"):
        gateway.wait_until_ready()
    assert gateway.process.returncode == 4
    wait_until(lambda: not gateway.living(), within_s=5.0)


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


def _answer(gateway: Gateway) -> str:
    document = send(gateway, "POST", CHAT, {**GOOD[CHAT], "max_tokens": 8}).document
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
