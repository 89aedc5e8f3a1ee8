"""Environment variables of all Ray processes; Ray reads most of them once, at import.

`deploy/env.sh` sets the same for clusters that are started otherwise.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from serve.process.haproxy import launcher
from serve.process.ports import Ports
from serve.profile.settings import Profile

UNLIMITED = 1_000_000  # tries
_SPARE_REQUESTS = 1000
_SLOTS_AT_MOST = 1024  # vLLM's largest default of max_num_seqs

# The same for every start. deploy/env.sh repeats these, and a test compares.
FIXED: Mapping[str, str] = {
    # The answer's bytes go from HAProxy to the replica's own port, past Serve's Python proxy.
    "RAY_SERVE_ENABLE_HA_PROXY": "1",
    # Any change of replicas reloads HAProxy, and the old one cuts its streams after this time.
    "RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S": "3600",
    # Idle keep-alive connections must not stay with an old HAProxy, which knows dead replicas only.
    "RAY_SERVE_HAPROXY_CLOSE_SPREAD_TIME_S": "5",
    # A replica that refuses a connection is gone; asking it three times costs callers 3 s.
    "RAY_SERVE_HAPROXY_OBSERVE_ERROR_LIMIT": "1",
    # Serve's own counters, one datagram per request into a Python process: we have ours.
    "RAY_SERVE_HAPROXY_METRICS_ENABLED": "0",
    # Ray replaces a HAProxy or its manager after three failed checks.
    "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "1",
    # Enough for one machine's streams; four threads compete with the engine for its CPUs.
    "RAY_SERVE_HAPROXY_NBTHREAD": "1",
    # While no replica runs, clients get our 503 at once instead of waiting in Serve's proxy.
    "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "serve.http.server.around_serve:middlewares",
    # No balancer in front needs time to notice; Ray's 30 s would delay every Ctrl-C.
    "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "0",
    # A dead engine has nothing to finish, and its replacement waits for its GPUs.
    "RAY_SERVE_FORCE_STOP_UNHEALTHY_REPLICAS": "1",
    # A second thread per replica costs a hop per token, and our code does not block.
    "RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD": "0",
    "RAY_USE_UVLOOP": "1",
    # Ray's default niceness is 15, which engine and HAProxy would inherit.
    "RAY_worker_niceness": "0",
    "RAY_SERVE_LOG_TO_STDERR": "0",  # to Ray's log files only
    # Size of a log file, and number of older ones. Ray's default is 3 GB each, and EngineCore's
    # output (worker-*.out) would not be rotated at all.
    "RAY_ROTATION_MAX_BYTES": "33554432",
    "RAY_ROTATION_BACKUP_COUNT": "3",
    # No usage reports.
    "RAY_USAGE_STATS_ENABLED": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    # Serve's control loop runs ten times a second by default and exports counters that we do not
    # use: an idle gateway takes 14 % of a core then, and 8 % with these values.
    "RAY_SERVE_CONTROL_LOOP_INTERVAL_S": "0.5",
    "RAY_SERVE_METRICS_EXPORT_INTERVAL_MS": "10000",
    "RAY_enable_metrics_collection": "0",  # Ray's own are not scraped, and its agents take CPU
    # At 95 % of the machine's memory Ray would end the largest worker: the only replica.
    "RAY_memory_monitor_refresh_ms": "0",
    # vLLM, not Ray, hides GPUs from an engine without them; silences Ray's warning.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


def ongoing_requests(profile: Profile) -> int:
    """Concurrent requests of one replica; above our own limits, so that Serve never refuses first.

    Beside the admitted ones some are being refused, ask for metrics or render.
    """
    return _admitted_requests(profile) + _SPARE_REQUESTS


def connections(profile: Profile) -> int:
    """HAProxy's limit of connections; above what all replicas together have."""
    return profile.engine.replicas * _admitted_requests(profile) + 2 * _SPARE_REQUESTS


def _admitted_requests(profile: Profile) -> int:
    """Of one replica: twice its queue and its slots, since both may grow while it runs."""
    slots = int(profile.engine_args.get("max_num_seqs") or _SLOTS_AT_MOST)
    return 2 * (profile.admission.queue.max_requests + slots)


def open_files(profile: Profile) -> int:
    """Files that one process may have open.

    HAProxy needs two sockets per client and a pipe for every fourth, or it does not start.
    """
    return connections(profile) * 5 // 2 + 100


def cpus_per_replica(profile: Profile) -> int:
    """CPUs to reserve in Ray. Ray pins nothing to them; an engine without GPUs uses all."""
    return 1 if profile.gpus_per_replica else os.cpu_count() or 1


def of_one_machine(profile: Profile, *, folder: Path, ports: Ports) -> dict[str, str]:
    """The environment of a Ray that lives and ends with one `sluice serve`.

    `folder` is the start's own, private and with a short path: UNIX sockets take 107 bytes.
    """
    proxy = folder / "h"
    return {
        **FIXED,
        **_named(ports),
        "RAY_SERVE_HAPROXY_BINARY_PATH": str(launcher.write_launcher(folder)),
        "RAY_SERVE_HAPROXY_MAXCONN": str(connections(profile)),
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(proxy / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(proxy / "admin.sock"),
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(proxy / "metrics.sock"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(proxy),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(proxy / "server-state"),
        # Without this Ray replaces 127.0.0.1 by the machine's outer address. Despite its name it
        # makes Ray listen on loopback only.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        # The folder of vLLM's sockets, which a killed engine leaves behind; otherwise /tmp.
        "VLLM_RPC_BASE_PATH": str(folder),
        # `sluice serve` ends a failed start; later a replica is replaced until it runs.
        "RAY_SERVE_MAX_PER_REPLICA_RETRY_COUNT": str(UNLIMITED),
        # When its raylet ends, Ray ends this process at once if its parent is process 1, as under
        # systemd, unless this names a process that lives. Raylets tell their workers the real one.
        "RAY_RAYLET_PID": str(os.getpid()),
        # Every user of this machine can reach loopback.
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(folder / "ray-token"),
    }


def _named(ports: Ports) -> dict[str, str]:
    numbers = {
        "RAY_SERVE_HAPROXY_STATS_PORT": ports.haproxy_stats,
        "RAY_SERVE_HAPROXY_METRICS_PORT": ports.haproxy_metrics,
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": ports.fallback_proxy,
        "AUTOSCALER_METRIC_PORT": ports.ray_autoscaler,
        "DASHBOARD_METRIC_PORT": ports.ray_dashboard,
        "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT": ports.replicas,
        "RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": ports.last,
    }
    return {name: str(port) for name, port in numbers.items()}
