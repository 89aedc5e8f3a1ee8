"""vLLM arguments and variables that a profile may not set, each with the reason for the user."""

from collections.abc import Iterable

_LISTENS = "Ray Serve listens for requests, not vLLM; set http.host and http.port"
_TLS = "vLLM's own web server is not used; end TLS in a proxy in front of the gateway"
_UVICORN = "vLLM's own web server is not used, so this would do nothing"
_ONE_ENGINE = (
    "one replica owns exactly one engine and its KV ledger; for more engines set engine.replicas"
)
_SECOND_DOOR = "its routes reach the engine without admission, so the gateway does not serve them"

REASONS: dict[str, str] = {
    "host": _LISTENS,
    "port": _LISTENS,
    "uds": _LISTENS,
    "grpc": "gRPC would be a second door past admission",
    "grpc_port": "gRPC would be a second door past admission",
    "headless": _ONE_ENGINE,
    "api_server_count": "a second API process would not share the ledger; set engine.replicas",
    "api_key": "the gateway checks API keys itself; set access.api_keys_file",
    "middleware": "it would run inside the admitted request and could answer past its lease",
    "root_path": "admitted routes are matched by exact path; strip prefixes in a proxy in front",
    "enable_ssl_refresh": _TLS,
    "uvicorn_log_level": _UVICORN,
    "disable_uvicorn_access_log": f"{_UVICORN}; see telemetry.access_log",
    "disable_access_log_for_endpoints": f"{_UVICORN}; see telemetry.access_log",
    "h11_max_incomplete_event_size": f"{_UVICORN}; see http.max_header_bytes",
    "h11_max_header_count": f"{_UVICORN}; see http.max_header_bytes",
    "tokens_only": "it removes the chat and completion routes that the gateway admits",
    "enable_scale_out": _SECOND_DOOR,
    "enable_tokenizer_info_endpoint": "the gateway does not serve /tokenizer_info",
    "enable_offline_docs": "the gateway does not serve /docs",
    "enable_server_load_tracking": "the gateway does not serve /load; see /v1/admission/state",
    "config": "a second file would bring in arguments unchecked; write them in this profile",
    "model_tag": "give the model as engine_args.model",
    "disable_log_stats": "the KV ledger is corrected from these statistics at every step",
    "enable_elastic_ep": f"it changes the engine under the ledger: {_ONE_ENGINE}",
    "elastic_ep_max_dp_size": _ONE_ENGINE,
}

_PREFIXES: dict[str, str] = {
    "ssl_": _TLS,
    "data_parallel_": _ONE_ENGINE,
    "dp_supervisor_": _ONE_ENGINE,
}

_ENVIRONMENT: dict[str, str] = {
    "VLLM_API_KEY": REASONS["api_key"],
    "VLLM_USE_RUST_FRONTEND": _LISTENS,
}
_ENVIRONMENT_PREFIXES: dict[str, str] = {
    "VLLM_DP_": _ONE_ENGINE,
    "RAY_": "Ray reads it in its own processes before a replica exists; set it where Ray starts",
}


class KeysRefusedError(ValueError):
    """Refused keys of one mapping: (key, message) pairs, one line each."""

    def __init__(self, refused: Iterable[tuple[str, str]]) -> None:
        self.refused = tuple(refused)
        super().__init__("; ".join(f"{name}: {message}" for name, message in self.refused))


def by_reason() -> dict[str, list[str]]:
    """Every refused argument and variable, those that share a reason together; for the docs."""
    found: dict[str, list[str]] = {}
    exact = REASONS | _ENVIRONMENT
    prefixes = {f"{prefix}*": why for prefix, why in (_PREFIXES | _ENVIRONMENT_PREFIXES).items()}
    for name, reason in (exact | prefixes).items():
        found.setdefault(reason, []).append(name)
    return found


def check_arguments(names: Iterable[str]) -> None:
    """Raises `KeysRefusedError` for vLLM arguments that may not be set or are misspelled."""
    names = list(names)
    spelled = [(name, snake) for name in names if (snake := _snake_case(name)) != name]
    if spelled:
        raise KeysRefusedError((name, f"write vLLM's name as {snake}") for name, snake in spelled)
    _check(names, REASONS, _PREFIXES)


def check_environment(names: Iterable[str]) -> None:
    """Raises `KeysRefusedError` for environment variables that may not be set for the replica."""
    _check(names, _ENVIRONMENT, _ENVIRONMENT_PREFIXES)


def _check(names: Iterable[str], exact: dict[str, str], prefixes: dict[str, str]) -> None:
    refused = [
        (name, f"may not be set here: {reason}")
        for name in names
        if (reason := _reason(name, exact, prefixes)) is not None
    ]
    if refused:
        raise KeysRefusedError(refused)


def _reason(name: str, exact: dict[str, str], prefixes: dict[str, str]) -> str | None:
    by_prefix = (reason for prefix, reason in prefixes.items() if name.startswith(prefix))
    return exact.get(name) or next(by_prefix, None)


def _snake_case(name: str) -> str:
    return name.lstrip("-").replace("-", "_")
