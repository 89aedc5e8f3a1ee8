"""vLLM arguments that would open a second door, break the ledger or do nothing are refused."""

import pytest

from serve.profile.refused_arguments import (
    KeysRefusedError,
    by_reason,
    check_arguments,
    check_environment,
)


@pytest.mark.parametrize(
    "name",
    [
        "host",
        "port",
        "uds",
        "api_key",
        "middleware",
        "root_path",
        "ssl_keyfile",
        "ssl_ciphers",
        "headless",
        "api_server_count",
        "grpc",
        "grpc_port",
        "data_parallel_size",
        "data_parallel_external_lb",
        "enable_elastic_ep",
        "config",
        "disable_log_stats",
    ],
)
def test_a_refused_argument_says_why(name: str) -> None:
    with pytest.raises(KeysRefusedError, match=rf"^{name}: may not be set here: \w.{{15,}}"):
        check_arguments([name])


@pytest.mark.parametrize(
    "name",
    [
        "model",
        "tensor_parallel_size",
        "tool_call_parser",
        "chat_template",
        "enable_prompt_tokens_details",
        "enable_request_id_headers",
        "allowed_origins",
        "sse_keep_alive_interval",
        "enable_log_requests",
        "kv_transfer_config",
        "distributed_executor_backend",
        "speculative_config",
    ],
)
def test_what_vllm_can_do_stays_possible(name: str) -> None:
    check_arguments([name])


@pytest.mark.parametrize("name", ["--max-model-len", "max-model-len"])
def test_a_command_line_spelling_is_answered_with_the_right_one(name: str) -> None:
    with pytest.raises(KeysRefusedError, match="write vLLM's name as max_model_len"):
        check_arguments([name])


@pytest.mark.parametrize("name", ["VLLM_API_KEY", "RAY_SERVE_ENABLE_HA_PROXY", "VLLM_DP_SIZE"])
def test_variables_that_are_read_elsewhere_or_open_doors_are_refused(name: str) -> None:
    with pytest.raises(KeysRefusedError, match=f"^{name}: may not be set here: "):
        check_environment([name])


def test_variables_of_the_engine_are_free() -> None:
    check_environment(["VLLM_CPU_KVCACHE_SPACE", "VLLM_CPU_OMP_THREADS_BIND", "HF_HOME"])


def test_every_refusal_has_a_reason() -> None:
    assert all(len(reason) > 15 for reason in by_reason())
