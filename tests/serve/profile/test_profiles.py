"""The committed profiles and their documentation are complete and current."""

from pathlib import Path

import pytest
import yaml

from serve.access.tenants import KeyEntry
from serve.doc_tables import current, rewrite
from serve.profile.keys import keys_of
from serve.profile.settings import AdmissionSection, Profile, load_profile
from serve.profile.settings_doc import TABLES

ROOT = Path(__file__).parents[3]
PROFILES = sorted(path for path in (ROOT / "configs").glob("*.yaml") if "api-keys" not in path.name)
DOCUMENT = ROOT / "docs" / "reference" / "configuration.md"


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_every_committed_profile_validates(path: Path) -> None:
    assert load_profile(path).admission.settings()


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_every_line_with_a_value_says_its_unit_or_reason(path: Path) -> None:
    bare = [line for line in path.read_text().splitlines() if ": " in line and "#" not in line]
    assert bare == []


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_a_committed_profile_names_every_admission_key(path: Path) -> None:
    written = yaml.safe_load(path.read_text())["admission"]
    flat = {
        f"{name}.{inner}" if inner else name
        for name, value in written.items()
        for inner in (value if isinstance(value, dict) and value else [""])
    }
    assert flat == {key.path for key in keys_of(AdmissionSection)}


def test_the_default_profile_runs_without_a_gpu_for_this_machine_only() -> None:
    profile = load_profile(ROOT / "configs" / "smollm2-cpu.yaml")
    assert profile.gpus_per_replica == 0
    assert profile.engine.embedded_model == "smollm2-135m-instruct"
    assert profile.http.host == "127.0.0.1"


def test_the_production_profile_spans_eight_cards_and_needs_keys() -> None:
    profile = load_profile(ROOT / "configs" / "qwen3-32b-awq-8xa10.yaml")
    assert profile.gpus_per_replica == 8
    assert profile.http.host == "0.0.0.0"  # noqa: S104 - the claim
    assert profile.access.api_keys_file == ROOT / "configs" / "api-keys.yaml"


def test_the_example_of_api_keys_is_in_the_format_that_is_read() -> None:
    entries = yaml.safe_load((ROOT / "configs" / "api-keys.example.yaml").read_text())
    assert len([KeyEntry.model_validate(entry, strict=False) for entry in entries]) == 3


def test_the_tables_of_the_documentation_are_current() -> None:
    text = DOCUMENT.read_text()
    assert current(text, TABLES) == text, (
        "run: python -m serve.profile.settings_doc docs/reference/configuration.md"
    )


def test_the_documentation_names_every_key() -> None:
    text = DOCUMENT.read_text()
    for key in keys_of(Profile):
        section, _, name = key.path.partition(".")
        assert f"| `{name or section}` | {key.unit} |" in text, key.path


def test_the_documentation_can_be_rewritten_in_place(tmp_path: Path) -> None:
    stale = tmp_path / "doc.md"
    marks = "<!-- {0}: begin -->\nold\n<!-- {0}: end -->\n"
    stale.write_text(f"by hand\n{marks.format('keys')}{marks.format('refused')}the end\n")
    assert rewrite([str(stale)], TABLES, usage="") == 0
    text = stale.read_text()
    assert "\nold\n" not in text
    assert "`ttft_deadline_s`" in text
    assert text.startswith("by hand\n")
    assert text.endswith("the end\n")


def test_without_a_file_the_command_says_how_it_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    assert rewrite([], TABLES, usage="this command FILE") == 2
    assert "usage: this command FILE" in capsys.readouterr().err
