"""What every Ray process must find in its environment; Ray reads most of it once, at import.

`deploy/env.sh` sets the same for clusters that others start.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from serve.process.haproxy import launcher
from serve.process.ports import Ports
from serve.profile.settings import Profile

UNLIMITED = 1_000_000  # tries
_SLOTS_AT_MOST = 1024  # vLLM's largest default of max_num_seqs

# The same for every start, whoever makes it. deploy/env.sh repeats these, and a test compares.
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
    # A HAProxy or a manager of it that has ended is replaced after three looks that find it so.
    "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "1",
    # Enough for one machine's streams; four take turns on the CPUs that the engine needs.
    "RAY_SERVE_HAPROXY_NBTHREAD": "1",
    # While no replica runs, clients get our 503 at once instead of waiting in Serve's proxy.
    "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "serve.http.server.around_serve:middlewares",
    # No balancer in front needs time to notice: with Ray's 30 s, Ctrl-C takes as long.
    "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "0",
    # A dead engine has nothing to finish, and its replacement waits for its GPUs.
    "RAY_SERVE_FORCE_STOP_UNHEALTHY_REPLICAS": "1",
    # A second thread per replica costs a hop per token and protects from nothing we do.
    "RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD": "0",
    "RAY_USE_UVLOOP": "1",
    # Ray's workers are nice to everything else on the machine (15); engine and HAProxy inherit it.
    "RAY_worker_niceness": "0",
    "RAY_SERVE_LOG_TO_STDERR": "0",  # to Ray's log files only
    # Of each of those files, and so many older ones. Ray's own default is 3 GB each, and what
    # EngineCore writes (worker-*.out) would not be rotated at all.
    "RAY_ROTATION_MAX_BYTES": "33554432",
    "RAY_ROTATION_BACKUP_COUNT": "3",
    # Nothing is reported to anybody.
    "RAY_USAGE_STATS_ENABLED": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    # Serve looks ten times a second whether something changed, and moves counters that nobody
    # reads; an idle gateway burns 14 % of a core then, and 8 % like this.
    "RAY_SERVE_CONTROL_LOOP_INTERVAL_S": "0.5",
    "RAY_SERVE_METRICS_EXPORT_INTERVAL_MS": "10000",
    "RAY_enable_metrics_collection": "0",  # nobody scrapes Ray's own, and the agents burn CPU
    # At 95 % of the machine's memory Ray would end the largest worker: the only replica.
    "RAY_memory_monitor_refresh_ms": "0",
    # vLLM, not Ray, decides what an engine without GPUs sees (and Ray warns about it).
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


def ongoing_requests(profile: Profile) -> int:
    """Requests one replica may have at a time before Serve itself would refuse: never before us.

    Twice the line and the slots, since both may grow while it runs, and room for callers that are
    being refused, ask for metrics or render.
    """
    slots = int(profile.engine_args.get("max_num_seqs") or _SLOTS_AT_MOST)
    return 2 * (profile.admission.queue.max_requests + slots) + 1000


def connections(profile: Profile) -> int:
    """What HAProxy lets in at a time; above what all replicas take together."""
    return profile.engine.replicas * ongoing_requests(profile) + 1000


def open_files(profile: Profile) -> int:
    """Files that one process may have open.

    HAProxy takes two sockets per client and a pipe for every fourth, and refuses to start without.
    """
    return connections(profile) * 5 // 2 + 100


def cpus_per_replica(profile: Profile) -> int:
    """CPUs that Ray is told about. It binds nothing to them; an engine without GPUs wants all."""
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
        # Ray takes the machine's outer address for 127.0.0.1 unless it is told that there is no
        # cluster; its name is older than this use. With it Ray listens on loopback only.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        # vLLM's own sockets, which a killed engine leaves; its folder is the machine's otherwise.
        "VLLM_RPC_BASE_PATH": str(folder),
        # The launcher ends a start that fails; once it serves, a replica is replaced until it runs.
        "RAY_SERVE_MAX_PER_REPLICA_RETRY_COUNT": str(UNLIMITED),
        # When its raylet ends, Ray ends this process at once if its parent is process 1, as under
        # systemd, unless this names a process that lives. Raylets tell their workers the real one.
        "RAY_RAYLET_PID": str(os.getpid()),
        # Loopback is shared with everybody who has an account here.
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
