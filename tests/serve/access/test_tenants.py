"""API keys: hashed at rest, mapped to tenants, and needed wherever others can reach us."""

import hashlib
from pathlib import Path

import pytest

from admission.terms.decision import Priority
from serve.access.tenants import KeyEntry, Keys, load_keys, main, new_key, require_safe_binding
from serve.profile.access_section import AccessSection
from serve.visit import Tenant

DIGEST = hashlib.sha256(b"secret").hexdigest()
KEYS = Keys([KeyEntry(tenant="team-a", priority=Priority.HIGH, admin=True, key_sha256=DIGEST)])
TEAM_A = Tenant("team-a", Priority.HIGH, admin=True)


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer secret"},
        {"authorization": "bearer secret"},
        {"x-api-key": "secret"},
        {"authorization": "Bearer of something else", "x-api-key": "secret"},
    ],
)
def test_a_key_is_read_as_openai_and_as_anthropic_send_it(headers: dict[str, str]) -> None:
    assert KEYS.identify(headers) == TEAM_A


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": "Basic secret"},
        {"authorization": "Bearer"},
        {"authorization": "secret"},
        {"x-api-key": ""},
        {"x-api-key": DIGEST},
    ],
)
def test_without_a_known_key_nobody_is_identified(headers: dict[str, str]) -> None:
    assert KEYS.identify(headers) is None


def test_without_any_key_configured_everybody_is_anonymous_and_admin() -> None:
    assert Keys().identify({}) == Tenant("anonymous", admin=True)


def test_without_keys_a_page_in_a_browser_is_no_admin() -> None:
    assert Keys().identify({"origin": "https://elsewhere.example"}) == Tenant("anonymous")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost"])
def test_loopback_needs_no_keys(host: str) -> None:
    require_safe_binding(host, Keys())


@pytest.mark.parametrize(
    "host",
    ["0.0.0.0", "::", "10.0.0.7", "gateway.example", ""],  # noqa: S104 - refused here
)
def test_an_address_that_others_reach_needs_keys(host: str) -> None:
    require_safe_binding(host, KEYS)
    with pytest.raises(ValueError, match=r"access\.api_keys_file"):
        require_safe_binding(host, Keys())


def test_keys_come_from_the_file_and_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "keys.yaml"
    file.write_text(f"- {{tenant: team-a, priority: high, admin: true, key_sha256: {DIGEST}}}\n")
    other = hashlib.sha256(b"other").hexdigest()
    monkeypatch.setenv("SLUICE_KEYS", f'[{{"tenant": "team-b", "key_sha256": "{other}"}}]')
    keys = load_keys(AccessSection(api_keys_file=file, api_keys_env="SLUICE_KEYS"))
    assert keys.identify({"x-api-key": "secret"}) == TEAM_A
    assert keys.identify({"x-api-key": "other"}) == Tenant("team-b", Priority.NORMAL)


def test_no_source_named_means_no_keys() -> None:
    assert not load_keys(AccessSection()).configured


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "no key found"),
        ("[]", "no key found"),
        ("tenant: a", "Expected a list"),
        ("- {tenant: a}", r"0\.key_sha256"),
        ("- {tenant: a, key_sha256: abc}", r"0\.key_sha256"),
        (f"- {{tenant: a, key_sha256: {DIGEST}, prioritaet: high}}", r"0\.prioritaet"),
        (f"- {{tenant: a, key_sha256: {DIGEST}, priority: urgent}}", r"0\.priority"),
        (f"- {{tenant: 'a b', key_sha256: {DIGEST}}}", r"0\.tenant"),
        ("- {", "not YAML"),
    ],
)
def test_a_bad_keys_file_is_one_clear_message(tmp_path: Path, text: str, complaint: str) -> None:
    file = tmp_path / "keys.yaml"
    file.write_text(text)
    with pytest.raises(ValueError, match=complaint) as failure:
        load_keys(AccessSection(api_keys_file=file))
    assert "keys.yaml" in str(failure.value)


def test_a_named_source_that_is_missing_never_means_open(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        load_keys(AccessSection(api_keys_file=tmp_path / "none.yaml"))
    with pytest.raises(ValueError, match="SLUICE_UNSET"):
        load_keys(AccessSection(api_keys_env="SLUICE_UNSET"))


def test_a_bad_file_is_not_quoted_in_the_message(tmp_path: Path) -> None:
    file = tmp_path / "keys.yaml"
    file.write_text("- {tenant: a, key_sha256: sk-sluice-a-real-key}")
    with pytest.raises(ValueError, match="key_sha256") as failure:
        load_keys(AccessSection(api_keys_file=file))
    assert "a-real-key" not in str(failure.value)


def test_new_keys_are_long_and_never_the_same() -> None:
    keys = {new_key()[0] for _ in range(100)}
    assert len(keys) == 100
    assert all(len(key) >= 50 for key in keys)


def test_the_command_prints_a_key_once_and_the_line_that_accepts_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["team-a"]) == 0
    first, _, line = capsys.readouterr().out.splitlines()
    file = tmp_path / "keys.yaml"
    file.write_text(line)
    keys = load_keys(AccessSection(api_keys_file=file))
    assert keys.identify({"x-api-key": first.split(": ")[1]}) == Tenant("team-a")


@pytest.mark.parametrize("arguments", [[], ["a", "b"], ["--help"], ["a b"]])
def test_the_command_says_how_it_is_used(arguments: list[str]) -> None:
    assert main(arguments) == 2
