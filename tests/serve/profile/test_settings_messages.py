"""What a user reads when a profile is wrong: file, line, key, and what would be valid."""

from pathlib import Path

import pytest

from serve.profile.settings import AdmissionSection, ProfileError, load_profile, parse_admission

START = "engine: {embedded_model: smollm2-135m-instruct}\n"


@pytest.fixture
def problems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Problems":
    monkeypatch.chdir(tmp_path)
    return Problems()


class Problems:
    """Lines that a profile with this text is refused with."""

    def __call__(self, text: str) -> list[str]:
        Path("p.yaml").write_text(text)
        with pytest.raises(ProfileError) as refused:
            load_profile("p.yaml")
        return str(refused.value).splitlines()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "admission: {kv_headroom_ratio: 90}",
            "admission.kv_headroom_ratio: 90 is not valid; give a ratio between 0 and 0.5",
        ),
        (
            "admission: {output_quantile: 90}",
            "admission.output_quantile: 90 is not valid; give a ratio between 0.5 and 0.999",
        ),
        (
            "admission: {ttft_deadline_s: -1}",
            "admission.ttft_deadline_s: -1 is not valid; "
            "give a number of seconds between 0.05 and 3600",
        ),
        (
            "admission: {ttft_deadline_s: .nan}",
            "admission.ttft_deadline_s: nan is not valid; "
            "give a number of seconds between 0.05 and 3600",
        ),
        (
            "admission: {cold_start_requests: 1.5}",
            "admission.cold_start_requests: 1.5 is not valid; "
            "give a whole number of requests between 1 and 10000",
        ),
        (
            "admission: {queue: {max_tokens: 4e6}}",
            "admission.queue.max_tokens: '4e6' is not valid; "
            "give a whole number of tokens between 0 and 1000000000000",
        ),
        (
            "admission: {static: {limit: true}}",
            "admission.static.limit: true is not valid; "
            "give a whole number of sequences between 1 and 65536",
        ),
        (
            "admission: {tenants: {team-a: {weight: 0}}}",
            "admission.tenants.team-a.weight: 0 is not valid; "
            "give a number of shares between 0.01 and 100",
        ),
        (
            "admission: {tenants: {team-a: {kv_share_ratio: 20}}}",
            "admission.tenants.team-a.kv_share_ratio: 20 is not valid; "
            "give a ratio between 0.001 and 1, or null",
        ),
        (
            "admission: {tenants: {team-a: 5}}",
            "admission.tenants.team-a: expected keys below it, found 5",
        ),
        (
            "admission: {tenants: 5}",
            "admission.tenants: 5 is not valid; give tenant names as in the API keys, or `*`, "
            "each with keys below it",
        ),
        (
            "admission: {tenants: {team a: {}}}",
            "admission.tenants: 'team a' is no tenant's name; give 1 to 64 letters, digits, '.', "
            "'_' or '-', or '*' for everybody else",
        ),
        (
            "admission: {mode: observe}",
            "admission.mode: 'observe' is not valid; give one of enforce, shadow, off",
        ),
        ("http: {port: 70000}", "http.port: 70000 is not valid; give a port between 1 and 65535"),
        ("http: {port: null}", "http.port: null is not valid; give a port between 1 and 65535"),
        (
            "http: {max_header_bytes: 65536}",
            "http.max_header_bytes: 65536 is not valid; "
            "give a whole number of bytes between 1024 and 16384",
        ),
        (
            "http: {host: 'http://127.0.0.1'}",
            "http.host: 'http://127.0.0.1' is not valid; "
            "give an IP address or a host name, without scheme or port",
        ),
        (
            "access: {isolate_prefix_cache: 1}",
            "access.isolate_prefix_cache: 1 is not valid; give true or false",
        ),
        (
            "access: {api_keys_env: $KEYS}",
            "access.api_keys_env: '$KEYS' is not valid; "
            "give the name of an environment variable, e.g. SLUICE_API_KEYS, or null",
        ),
        (
            "telemetry: {otlp_endpoint: collector}",
            "telemetry.otlp_endpoint: 'collector' is not valid; "
            "give an http:// or https:// URL, or null",
        ),
        (
            "telemetry: {access_log: false}",
            "telemetry.access_log: false is not valid; give `-` or a path, or null",
        ),
        ("http: 8000", "http: expected keys below it, found 8000"),
        ("admission: {queue: 5}", "admission.queue: expected keys below it, found 5"),
        (
            "engine_args: [model]",
            "engine_args: ['model'] is not valid; give vLLM's engine arguments, one per line",
        ),
    ],
)
def test_a_bad_value_is_shown_with_its_key_and_the_valid_ones(
    problems: Problems, text: str, message: str
) -> None:
    assert problems(f"{START}{text}\n") == [f"p.yaml:2: {message}"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "admission: {ttft_deadline_ms: 30000}",
            "admission.ttft_deadline_ms: unknown key; did you mean ttft_deadline_s (seconds)?",
        ),
        (
            "admission: {kv_headroom_percent: 2}",
            "admission.kv_headroom_percent: unknown key; did you mean kv_headroom_ratio (ratio)?",
        ),
        (
            "admission: {tenants: {team-a: {wieght: 2}}}",
            "admission.tenants.team-a.wieght: unknown key; did you mean weight (shares)?",
        ),
        ("http: {prot: 1}", "http.prot: unknown key; did you mean port (port)?"),
        (
            "http: {max_body_mb: 4}",
            "http.max_body_mb: unknown key; did you mean max_body_bytes (bytes)?",
        ),
        ("admision: {}", "admision: unknown key; did you mean admission?"),
        (
            "admission: {queue_max_requests: 4}",
            "admission.queue_max_requests: unknown key; "
            "did you mean admission.queue.max_requests (requests)?",
        ),
        ("port: 80", "port: unknown key; did you mean http.port (port)?"),
        (
            "max_model_len: 4096",
            "max_model_len: unknown key; "
            "vLLM's own arguments belong below engine_args or server_args",
        ),
        (
            "admission: {zzz: 4}",
            "admission.zzz: unknown key; known here: mode, policy, static, kv_headroom_ratio, "
            "kv_overflow_sigmas, output_quantile, cold_start_output_tokens, cold_start_requests, "
            "ttft_deadline_s, ttft_deadline_max_s, ttft_grace_s, tpot_target_s, queue, "
            "prefill_backlog_max_tokens, priority_reserve_ratio, tenants",
        ),
    ],
)
def test_an_unknown_key_is_answered_with_the_nearest_known_one(
    problems: Problems, text: str, message: str
) -> None:
    assert problems(f"{START}{text}\n") == [f"p.yaml:2: {message}"]


def test_a_vllm_argument_in_the_engine_section_is_sent_to_its_place(problems: Problems) -> None:
    text = "engine: {embedded_model: smollm2-135m-instruct, tensor_parallel_size: 8}\n"
    assert problems(text) == [
        "p.yaml:1: engine.tensor_parallel_size: unknown key; "
        "vLLM's own arguments belong below engine_args or server_args"
    ]


def test_all_problems_of_a_file_are_told_at_once_in_its_order(problems: Problems) -> None:
    lines = problems(
        "engine: {replicas: 0}\n"
        "server_args: {host: 0.0.0.0, ssl_keyfile: x}\n"
        "http: {port: 0}\n"
        "admission:\n"
        "  kv_headroom_ratio: 2\n"
        "  mod: off\n"
    )
    assert [line.split(": ")[0:2] for line in lines] == [
        ["p.yaml:1", "engine.replicas"],
        ["p.yaml:2", "server_args.host"],
        ["p.yaml:2", "server_args.ssl_keyfile"],
        ["p.yaml:3", "http.port"],
        ["p.yaml:5", "admission.kv_headroom_ratio"],
        ["p.yaml:6", "admission.mod"],
    ]


def test_a_deadline_above_its_cap_is_refused(problems: Problems) -> None:
    assert problems(f"{START}admission:\n  ttft_deadline_s: 200\n") == [
        "p.yaml: admission.ttft_deadline_max_s: 120 is below ttft_deadline_s (200); "
        "give at least 200"
    ]


def test_a_tenant_s_share_above_the_whole_queue_is_refused(problems: Problems) -> None:
    assert problems(f"{START}admission:\n  queue:\n    max_requests: 100\n") == [
        "p.yaml: admission.queue.max_requests_per_tenant: 512 is above max_requests (100); "
        "give at most 100"
    ]


def test_a_profile_needs_a_model(problems: Problems) -> None:
    assert problems("http: {port: 8001}\n") == [
        "p.yaml: engine_args: no model: give engine_args.model or engine.embedded_model"
    ]


def test_two_models_are_one_too_many(problems: Problems) -> None:
    assert problems(f"{START}engine_args: {{model: x}}\n") == [
        "p.yaml:2: engine_args: two models: "
        "give engine_args.model or engine.embedded_model, not both"
    ]


def test_fewer_gpus_than_ranks_are_refused(problems: Problems) -> None:
    lines = problems(
        "engine: {gpus_per_replica: 4}\nengine_args: {model: x, tensor_parallel_size: 8}\n"
    )
    assert lines == [
        "p.yaml:2: engine_args: the parallel sizes need 8 GPUs, but engine.gpus_per_replica is 4; "
        "leave it out or give at least 8"
    ]


def test_an_open_address_without_keys_is_refused(problems: Problems) -> None:
    assert problems(f"{START}http: {{host: 0.0.0.0}}\n") == [
        "p.yaml: access: http.host 0.0.0.0 can be reached from other machines, but no API keys "
        "are configured; set api_keys_file or api_keys_env here, or http.host 127.0.0.1"
    ]


def test_a_section_that_is_wrong_raises_no_false_alarms_elsewhere(problems: Problems) -> None:
    lines = problems(
        "engine: {embeded_model: smollm2-135m-instruct}\nhttp: {host: 0.0.0.0, x: 1}\n"
    )
    assert len(lines) == 2


def test_a_wrong_value_is_shown_shortened(problems: Problems) -> None:
    (line,) = problems(f"{START}http: {{port: {'x' * 500}}}\n")
    assert len(line) < 160


def test_a_bad_user_config_is_named_by_its_source() -> None:
    with pytest.raises(ProfileError, match=r"^user_config: queue.max_requests: -1 is not valid;"):
        parse_admission({"queue": {"max_requests": -1}})


@pytest.mark.parametrize("given", [None, 5, "enforce", ["mode"]])
def test_a_user_config_without_keys_is_refused(given: object) -> None:
    with pytest.raises(ProfileError, match=r"^user_config: .*; expected a mapping with the keys"):
        parse_admission(given)


def test_a_user_config_with_a_number_for_a_key_is_refused() -> None:
    with pytest.raises(ProfileError, match=r"^user_config: queue.*: a key must be text$"):
        parse_admission({"queue": {7: 1}})


def test_a_queue_of_no_requests_is_refused_because_nothing_would_ever_start() -> None:
    with pytest.raises(ProfileError, match=r"queue.max_requests: 0 is not valid"):
        parse_admission({"queue": {"max_requests": 0, "max_requests_per_tenant": 0}})


def test_a_queue_of_no_tokens_is_a_gateway_without_a_queue() -> None:
    assert parse_admission({"queue": {"max_tokens": 0}}).settings().queue_max_tokens == 0


def test_an_empty_user_config_means_the_defaults() -> None:
    assert parse_admission({}) == AdmissionSection()


def test_the_old_name_of_a_section_is_understood_with_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    old = parse_admission({"line": {"max_requests": 7, "max_requests_per_tenant": 5}})
    assert old == parse_admission({"queue": {"max_requests": 7, "max_requests_per_tenant": 5}})
    assert caplog.messages == ["the key 'line' is now called 'queue'; the old name still works"]


def test_both_names_of_a_section_at_once_are_refused() -> None:
    with pytest.raises(ProfileError, match=r"^user_config: line: unknown key"):
        parse_admission({"line": {}, "queue": {}})
