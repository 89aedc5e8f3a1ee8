"""The servers that are compared, each as its user starts it, and the CPU each of them burns."""

import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import psutil
import yaml

from tests.live.gateway import Gateway, free_port, serve, start

# which processes carry an answer's bytes, by what their command lines contain
_BYTE_PATH = {
    "replica": ("ServeReplica",),
    "engine core": ("EngineCore",),
    "haproxy": ("haproxy ", "/haproxy"),
    "python proxy": ("ProxyActor",),
    "vllm server": ("vllm_server",),
}


@dataclass(frozen=True)
class Front:
    """A running server under the name it has in the table."""

    name: str
    gateway: Gateway

    def cpu_s(self) -> dict[str, float]:
        """CPU seconds so far by kind of process; `idle` is all that carries no bytes."""
        spent: dict[str, float] = defaultdict(float)
        for process in self._processes():
            try:
                words = " ".join([process.name(), *process.cmdline()])
                times = process.cpu_times()
            except psutil.NoSuchProcess:
                continue
            spent[_kind(self.name, words)] += times.user + times.system
        return dict(spent)

    def _processes(self) -> list[psutil.Process]:
        """By mark and by descent: a renamed process has lost its mark, a daemon its parent."""
        found = {
            pid: psutil.Process(pid) for pid in self.gateway.living() if psutil.pid_exists(pid)
        }
        root = psutil.Process(self.gateway.process.pid)
        found |= {child.pid: child for child in (root, *root.children(recursive=True))}
        return list(found.values())


def _kind(front: str, words: str) -> str:
    proxy_carries = front == PYTHON_PROXY
    for kind, marks in _BYTE_PATH.items():
        if any(mark in words for mark in marks):
            return kind if kind != "python proxy" or proxy_carries else "idle"
    return "idle"


VLLM = "vLLM's own server"
SLUICE = "Sluice (HAProxy)"
PYTHON_PROXY = "Sluice behind Serve's default proxy"


def start_vllm(profile: Path, folder: Path) -> Front:
    """The yardstick."""
    port = free_port()
    words = [sys.executable, "-m", "tests.bench.vllm_server", str(profile), str(port)]
    return Front(VLLM, start(words, port=port, folder=folder))


def start_sluice(profile: Path, folder: Path) -> Front:
    """`sluice serve`."""
    return Front(SLUICE, serve(profile, port=free_port(), folder=folder))


def start_python_proxy(profile: Path, folder: Path) -> Front:
    """`serve run` of the same application on a Ray that knows nothing of HAProxy."""
    port = free_port()
    config = folder / "python-proxy.yaml"
    application = {
        "name": "sluice",
        "route_prefix": "/",
        "import_path": "serve.app:build",
        "args": {"config": str(profile)},
    }
    http = {"host": "127.0.0.1", "port": port}
    config.write_text(yaml.safe_dump({"http_options": http, "applications": [application]}))
    words = [str(Path(sys.executable).parent / "serve"), "run", str(config)]
    environment = {"RAY_SERVE_ENABLE_HA_PROXY": "0", "RAY_USAGE_STATS_ENABLED": "0"}
    return Front(PYTHON_PROXY, start(words, port=port, folder=folder, **environment))
