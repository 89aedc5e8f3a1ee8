"""The faults: how each is made, what it may cost, and what an operator must be able to read."""

import http.client
import json
import os
import re
import signal
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.live.gateway import Gateway

Inflict = Callable[[Gateway], None]


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault and the bounds it is held to.

    `cuts`: connections may end in the middle, because the process that carries them is gone.
    `outage`: new callers may be answered 503 until it is over. `exit_code`: the gateway ends by
    itself with it, after a word. `said`: what the output or a log must contain.
    """

    name: str
    inflict: Inflict
    said: str
    cuts: bool = False
    outage: bool = False
    exit_code: int | None = None
    silent_callers_s: float = 0.0  # how long connections may be refused
    watch_s: float = 8.0  # how long it is watched at least
    back_s: float = 45.0


def kill(title: str, number: signal.Signals = signal.SIGKILL) -> Inflict:
    """Sends a signal to every process of the gateway whose command line contains `title`."""

    def inflict(gateway: Gateway) -> None:
        found = gateway.find(title)
        assert found, f"no process is called {title}"
        for pid in found:
            os.kill(pid, number)

    return inflict


def pause(title: str, seconds: float) -> Inflict:
    """Stops those processes and lets them go on after `seconds`."""

    def inflict(gateway: Gateway) -> None:
        stopped = gateway.find(title)
        assert stopped, f"no process is called {title}"
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(seconds)
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)

    return inflict


def tell(*numbers: signal.Signals) -> Inflict:
    """Sends signals to the launcher, a second apart."""

    def inflict(gateway: Gateway) -> None:
        for number in numbers:
            gateway.process.send_signal(number)
            time.sleep(1.0)

    return inflict


def _change_settings(gateway: Gateway) -> None:
    """There and back, ten times a second for two seconds."""
    url = f"{gateway.url}/v1/admission/settings"
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - http, ours
        section = json.load(answer)
    for number in range(20):
        body = json.dumps(section | {"ttft_grace_s": 10 + number % 2}).encode()
        headers = {"If-Match": "*", "Content-Type": "application/json"}
        request = urllib.request.Request(url, body, headers, method="PUT")  # noqa: S310
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            assert answer.status == http.client.OK
        time.sleep(0.1)


def _stop_controller_then_terminate(gateway: Gateway) -> None:
    kill("ServeController", signal.SIGSTOP)(gateway)
    time.sleep(3.0)
    gateway.process.send_signal(signal.SIGTERM)


def _kill_controller_twice(gateway: Gateway) -> None:
    kill("ServeController")(gateway)
    time.sleep(15.0)
    kill("ServeController")(gateway)


ENGINE, REPLICA = "EngineCore", "ServeReplica"

FAULTS: tuple[Fault, ...] = (
    Fault("EngineCore killed", kill(ENGINE), "the engine died with", outage=True),
    Fault(
        "EngineCore stopped for 9 s",
        pause(ENGINE, 9.0),
        "the engine answers again",
        outage=True,
        watch_s=12.0,
    ),
    Fault(
        "EngineCore stopped for ever",
        kill(ENGINE, signal.SIGSTOP),
        "no sign of life for .* s: ending it",
        outage=True,
        watch_s=20.0,
        back_s=45.0 + 15.0,  # it is given 15 s to wake up
    ),
    Fault("replica killed", kill(REPLICA), "replica", cuts=True, outage=True),
    Fault(
        "replica stopped for ever",
        kill(REPLICA, signal.SIGSTOP),
        "replica",
        cuts=True,
        outage=True,
        back_s=120.0,  # Serve gives each of three health checks 10 s
    ),
    Fault("settings changed", _change_settings, ""),
    Fault(
        "HAProxy killed",
        kill("haproxy.cfg"),
        "HAProxy",
        cuts=True,
        silent_callers_s=5.0,
    ),
    Fault(
        "HAProxyManager killed",
        kill("HAProxyManager"),
        "HAProxy",
        cuts=True,
        silent_callers_s=45.0,
    ),
    Fault("fallback proxy killed", kill("ProxyActor"), ""),
    Fault("controller killed", kill("ServeController"), "controller", watch_s=60.0),
    Fault("controller killed twice", _kill_controller_twice, "controller", watch_s=60.0),
    Fault("GCS killed", kill("gcs_server"), "GCS", cuts=True, exit_code=1),
    Fault("raylet killed", kill("raylet/raylet"), "raylet", cuts=True, exit_code=1),
    Fault("launcher killed", lambda gateway: gateway.process.kill(), "", cuts=True, exit_code=-9),
    Fault("SIGTERM", tell(signal.SIGTERM), "draining", exit_code=0),
    Fault("Ctrl-C once", tell(signal.SIGINT), "draining", exit_code=0),
    Fault("Ctrl-C twice", tell(signal.SIGINT, signal.SIGINT), "stopping", cuts=True, exit_code=0),
    Fault("SIGHUP", tell(signal.SIGHUP), ""),
    Fault(
        "SIGTERM while the controller is stopped",
        _stop_controller_then_terminate,
        "draining",
        exit_code=0,
    ),
)


def told(gateway: Gateway, what: str) -> bool:
    """Whether the output or a log of this start says it."""
    pattern = re.compile(what)
    if pattern.search(gateway.written()):
        return True
    logs = re.search(r"^ +logs +(\S+)$", gateway.written(), re.MULTILINE)
    if logs is None:
        return False
    files = [*Path(logs[1]).glob("*.log"), *Path(logs[1]).glob("serve/*.log")]
    files += Path(logs[1]).glob("worker-*")
    return any(pattern.search(file.read_text(errors="replace")) for file in files)
