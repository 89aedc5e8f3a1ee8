# Environment of every Ray process of a cluster that you start yourself: source it before
# `ray start`, `serve run` or `serve deploy`. `sluice serve` needs none of this.
#
#   . deploy/env.sh
#   serve run serve.app:build config=configs/smollm2-cpu.yaml
#
# Ray reads these once, when it starts. What each is for stands in serve/process/ray_environment.py; a test
# compares the two. Run one such cluster per machine: HAProxy's statistics and metrics (8404, 9101),
# Serve's fallback proxy (8500) and the replicas (30000-31000) have fixed ports here.

# shellcheck disable=SC3028 # BASH_SOURCE is empty elsewhere, and then this is the current folder
_sluice="$(cd "$(dirname "${BASH_SOURCE:-deploy/env.sh}")/.." && pwd)"
export RAY_SERVE_HAPROXY_BINARY_PATH="$_sluice/deploy/haproxy"
unset _sluice

export RAY_SERVE_ENABLE_HA_PROXY=1
export RAY_SERVE_HAPROXY_MAXCONN=6000 # above line + slots of all replicas; ulimit -Hn 15100
export RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S=3600
export RAY_SERVE_HAPROXY_CLOSE_SPREAD_TIME_S=5
export RAY_SERVE_HAPROXY_OBSERVE_ERROR_LIMIT=1
export RAY_SERVE_HAPROXY_METRICS_ENABLED=0
export RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S=1
export RAY_SERVE_HAPROXY_NBTHREAD=1
export RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH=serve.http.server.around_serve:middlewares
export RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S=0 # with a load balancer in front: its period
export RAY_SERVE_FORCE_STOP_UNHEALTHY_REPLICAS=1
export RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD=0
export RAY_USE_UVLOOP=1
export RAY_worker_niceness=0
export RAY_SERVE_LOG_TO_STDERR=0
export RAY_ROTATION_MAX_BYTES=33554432
export RAY_ROTATION_BACKUP_COUNT=3
export RAY_USAGE_STATS_ENABLED=0
export VLLM_NO_USAGE_STATS=1
export HF_HUB_DISABLE_TELEMETRY=1
export RAY_SERVE_CONTROL_LOOP_INTERVAL_S=0.5
export RAY_SERVE_METRICS_EXPORT_INTERVAL_MS=10000
export RAY_enable_metrics_collection=0
export RAY_memory_monitor_refresh_ms=0
export RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO=0

# Whoever reaches Ray's ports can run code here: only those who have the token.
# `ray get-auth-token --generate` makes one; every machine of the cluster needs the same.
export RAY_AUTH_MODE=token
