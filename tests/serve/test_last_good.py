"""The last admission section that worked, kept for a start with a bad one."""

import logging
from pathlib import Path

import pytest

from serve.profile import last_good
from serve.profile.settings import AdmissionSection, parse_admission

SECTION = parse_admission({"mode": "shadow", "line": {"max_tokens": 5}})


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    last_good.save(SECTION, "p", folder=tmp_path)
    assert last_good.load("p", folder=tmp_path) == SECTION


def test_a_later_save_replaces_the_earlier_and_leaves_nothing_beside(tmp_path: Path) -> None:
    last_good.save(AdmissionSection(), "p", folder=tmp_path)
    last_good.save(SECTION, "p", folder=tmp_path)
    assert last_good.load("p", folder=tmp_path) == SECTION
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1


def test_profiles_keep_apart(tmp_path: Path) -> None:
    last_good.save(SECTION, "a", folder=tmp_path)
    assert last_good.load("b", folder=tmp_path) is None


def test_a_name_cannot_leave_the_folder(tmp_path: Path) -> None:
    inner = tmp_path / "cache"
    last_good.save(SECTION, "../../evil", folder=inner)
    assert last_good.load("../../evil", folder=inner) == SECTION
    assert all(inner in path.parents for path in tmp_path.rglob("*.json"))


@pytest.mark.parametrize("content", ["", "{", "[]", '{"mode": "observe"}', '{"gone": 1}', "\udce4"])
def test_what_cannot_be_used_is_warned_about_and_left_out(
    tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    last_good.save(SECTION, "p", folder=tmp_path)
    (file,) = tmp_path.rglob("*.json")
    file.write_bytes(content.encode(errors="surrogateescape"))
    with caplog.at_level(logging.WARNING):
        assert last_good.load("p", folder=tmp_path) is None
    assert "cannot be used" in caplog.text


def test_a_folder_that_takes_nothing_does_not_stop_a_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "file"
    file.write_text("")
    last_good.save(SECTION, "p", folder=file)
    assert "could not be kept" in caplog.text


def test_the_cache_folder_is_the_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    last_good.save(SECTION, "p")
    assert (tmp_path / "sluice" / "admission" / "p.json").is_file()
