"""The profile's models: complete, described, and one with admission's own settings."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from admission.terms.settings import Mode, Policy, Settings, TenantTerms
from serve.profile.admission_section import TenantSection
from serve.profile.keys import keys_of
from serve.profile.settings import (
    AdmissionSection,
    Profile,
    is_loopback,
    load_profile,
    parse_admission,
)

EVERY_KEY = [*keys_of(Profile), *keys_of(TenantSection)]
SMALL: dict[str, Any] = {"engine": {"embedded_model": "smollm2-135m-instruct"}}


def profile(**sections: Any) -> Profile:
    return Profile.model_validate(SMALL | sections)


def test_every_key_says_what_it_does_its_unit_and_the_reason_for_its_default() -> None:
    for key in EVERY_KEY:
        assert len(key.what) > 15, key.path
        assert key.unit, key.path
        assert key.why, key.path
        assert key.allowed, key.path


def test_every_described_field_ends_with_its_unit() -> None:
    fields = AdmissionSection.model_fields
    assert fields["ttft_deadline_s"].description is not None
    assert fields["ttft_deadline_s"].description.endswith("[seconds]")


def test_every_number_that_may_be_zero_or_null_says_what_that_means() -> None:
    numbers = [k for k in EVERY_KEY if " between 0 and" in k.allowed]
    optional = [k for k in EVERY_KEY if k.allowed.endswith("or null")]
    assert len(numbers) >= 4
    for key in [*numbers, *optional]:
        assert key.zero, key.path


def test_names_that_end_in_a_unit_carry_that_unit() -> None:
    endings = {"_s": "seconds", "_bytes": "bytes", "_tokens": "tokens", "_ratio": "ratio"}
    for key in EVERY_KEY:
        for ending, unit in endings.items():
            if key.path.endswith(ending):
                assert key.unit == unit, key.path


def test_the_admission_section_covers_exactly_the_settings_of_the_core() -> None:
    spelled = {key.path.replace(".", "_") for key in keys_of(AdmissionSection)}
    assert spelled == {field.name for field in dataclasses.fields(Settings)}


def test_the_defaults_are_those_of_the_core() -> None:
    assert AdmissionSection().settings() == Settings()


def test_every_admission_value_reaches_the_core() -> None:
    changed = {
        "mode": "shadow",
        "policy": "static",
        "static": {"limit": 7},
        "kv_headroom_ratio": 0.1,
        "kv_overflow_sigmas": 2,
        "output_quantile": 0.8,
        "cold_start_output_tokens": 2,
        "cold_start_requests": 3,
        "ttft_deadline_s": 4,
        "ttft_deadline_max_s": 5,
        "ttft_grace_s": 6,
        "tpot_target_s": 0.1,
        "line": {
            "max_requests": 60,
            "max_requests_per_tenant": 6,
            "max_tokens": 70,
            "look_past_requests": 9,
            "cost_weight": 0.2,
        },
        "prefill_backlog_max_tokens": 8,
        "priority_reserve_ratio": 0.1,
        "tenants": {
            "team-a": {
                "weight": 2,
                "tokens_per_minute": 1,
                "requests_per_minute": 3,
                "kv_share_ratio": 0.5,
            },
            "*": None,
        },
    }
    settings = parse_admission(changed).settings()
    assert settings == Settings(
        mode=Mode.SHADOW,
        policy=Policy.STATIC,
        static_limit=7,
        kv_headroom_ratio=0.1,
        kv_overflow_sigmas=2.0,
        output_quantile=0.8,
        cold_start_output_tokens=2,
        cold_start_requests=3,
        ttft_deadline_s=4.0,
        ttft_deadline_max_s=5.0,
        ttft_grace_s=6.0,
        tpot_target_s=0.1,
        queue_max_requests=60,
        queue_max_requests_per_tenant=6,
        queue_max_tokens=70,
        queue_look_past_requests=9,
        queue_cost_weight=0.2,
        prefill_backlog_max_tokens=8,
        priority_reserve_ratio=0.1,
        tenants={"team-a": TenantTerms(2.0, 1, 3, 0.5), "*": TenantTerms()},
    )
    untouched = dataclasses.asdict(Settings())
    assert all(value != untouched[name] for name, value in dataclasses.asdict(settings).items())


def test_a_section_survives_the_way_through_user_config() -> None:
    section = parse_admission({"mode": "off", "queue": {"max_tokens": 5}})
    assert parse_admission(section.mapping()) == section


def test_equal_settings_have_equal_hashes_however_written() -> None:
    written = parse_admission({"ttft_deadline_s": 30, "line": {}, "static": None})
    assert written.hash() == AdmissionSection().hash()
    assert len(written.hash()) == 12


def test_any_changed_value_changes_the_hash() -> None:
    hashes = {
        parse_admission(changed).hash()
        for changed in (
            {},
            {"mode": "off"},
            {"static": {"limit": 49}},
            {"queue": {"max_tokens": 1}},
        )
    }
    assert len(hashes) == 4


def test_a_bare_off_is_a_mode_although_yaml_reads_it_as_false(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text("engine: {embedded_model: smollm2-135m-instruct}\nadmission:\n  mode: off\n")
    assert load_profile(file).admission.mode is Mode.OFF


def test_a_profile_cannot_be_changed_after_it_was_read() -> None:
    with pytest.raises(ValidationError):
        profile().http.port = 1  # type: ignore[misc] # that it is frozen is the claim


def test_headings_without_keys_have_all_defaults() -> None:
    assert profile(http=None, admission={"line": None}, server_args=None) == profile()


def test_gpus_follow_the_parallel_sizes() -> None:
    sizes = {"tensor_parallel_size": 4, "pipeline_parallel_size": 2}
    assert profile(engine_args=sizes).gpus_per_replica == 8
    assert profile().gpus_per_replica == 1


def test_gpus_that_are_said_win() -> None:
    engine = SMALL["engine"] | {"gpus_per_replica": 0}
    assert profile(engine=engine, engine_args={"tensor_parallel_size": 2}).gpus_per_replica == 0


def test_one_rank_may_take_a_share_of_a_gpu() -> None:
    assert profile(engine=SMALL["engine"] | {"gpus_per_replica": 0.5}).gpus_per_replica == 0.5


def test_numbers_in_the_environment_become_text() -> None:
    engine = SMALL["engine"] | {"environment": {"A": 1, "B": 0.5, "C": "x"}}
    assert profile(engine=engine).engine.environment == {"A": "1", "B": "0.5", "C": "x"}


def test_paths_are_taken_from_the_folder_of_the_profile(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(
        "engine: {embedded_model: smollm2-135m-instruct}\n"
        "access: {api_keys_file: keys.yaml}\n"
        "telemetry: {access_log: logs/access.jsonl, decision_log: /var/log/decisions.jsonl}\n"
    )
    loaded = load_profile(file)
    assert loaded.access.api_keys_file == tmp_path / "keys.yaml"
    assert loaded.telemetry.access_log == str(tmp_path / "logs/access.jsonl")
    assert loaded.telemetry.decision_log == "/var/log/decisions.jsonl"


def test_a_dash_as_access_log_stays_standard_output(tmp_path: Path) -> None:
    assert profile().beside(tmp_path).telemetry.access_log == "-"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost"])
def test_loopback_addresses_are_known(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.5", "gateway.example", "localhost.evil"])  # noqa: S104 - the claim is that these are open
def test_all_other_addresses_are_open_to_others(host: str) -> None:
    assert not is_loopback(host)
