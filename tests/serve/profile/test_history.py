"""The admission settings of the last changes, kept for a replica that takes another's place."""

import logging
from pathlib import Path

import pytest

from serve.profile.history import KEPT, Entry, History, Via, history_of
from serve.profile.settings import AdmissionSection, parse_admission

SECTION = parse_admission({"mode": "shadow", "queue": {"max_tokens": 5}})


def entry(section: AdmissionSection = SECTION, *, via: Via = Via.PUT, start: str = "s") -> Entry:
    return Entry(
        hash=section.hash(),
        applied_at="2026-01-01T00:00:00+00:00",
        by="ops",
        via=via,
        changed=[{"key": "mode", "from": "enforce", "to": "shadow"}],
        settings=section.mapping(),
        start=start,
        heard={"serve": "abc"},
    )


def limits(count: int) -> list[Entry]:
    return [entry(parse_admission({"queue": {"max_tokens": number}})) for number in range(count)]


def test_what_was_added_is_there_again(tmp_path: Path) -> None:
    history = history_of("p", folder=tmp_path)
    assert history.add(entry())
    again = history_of("p", folder=tmp_path)
    assert again.entries == history.entries == [entry()]
    assert parse_admission(again.entries[0].settings) == SECTION


def test_the_last_are_kept_and_nothing_lies_beside(tmp_path: Path) -> None:
    history, given = history_of("p", folder=tmp_path), limits(KEPT + 3)
    for each in given:
        history.add(each)
    assert history.entries == history_of("p", folder=tmp_path).entries == given[3:]
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1


def test_profiles_keep_apart(tmp_path: Path) -> None:
    history_of("a", folder=tmp_path).add(entry())
    assert history_of("b", folder=tmp_path).entries == []


def test_two_processes_lose_nothing_of_each_other_in_the_file(tmp_path: Path) -> None:
    one, two = history_of("p", folder=tmp_path), history_of("p", folder=tmp_path)
    first, second = limits(2)
    one.add(first)
    two.add(second)
    assert history_of("p", folder=tmp_path).entries == [first, second]


def test_replicas_of_one_start_that_say_the_same_say_it_once(tmp_path: Path) -> None:
    for _ in range(3):
        history_of("p", folder=tmp_path).add(entry(via=Via.RELOAD))
    assert len(history_of("p", folder=tmp_path).entries) == 1


def test_a_name_cannot_leave_the_folder(tmp_path: Path) -> None:
    inner = tmp_path / "cache"
    history_of("../../evil", folder=inner).add(entry())
    assert history_of("../../evil", folder=inner).entries == [entry()]
    assert all(inner in path.parents for path in tmp_path.rglob("*.json"))


@pytest.mark.parametrize(
    "content",
    ["", "{", "{}", '[{"hash": 1}]', '{"mode": "observe"}', "[" * 100_000, "\udce4"],
    ids=lambda text: text[:8],
)
def test_what_cannot_be_used_is_warned_about_and_left_out(
    tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    history_of("p", folder=tmp_path).add(entry())
    (file,) = tmp_path.rglob("*.json")
    file.write_bytes(content.encode(errors="surrogateescape"))
    with caplog.at_level(logging.WARNING):
        history = history_of("p", folder=tmp_path)
    assert history.entries == []
    assert "cannot be used" in caplog.text
    assert history.add(entry()), "and the next change makes it whole again"
    assert history_of("p", folder=tmp_path).entries == [entry()]


def test_a_folder_that_takes_nothing_does_not_stop_a_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "file"
    file.write_text("")
    history = history_of("p", folder=file)
    assert not history.add(entry())
    assert history.entries == [entry()]
    assert "could not be kept" in caplog.text


def test_in_memory_nothing_is_kept() -> None:
    assert not History().add(entry())


def test_the_cache_folder_is_the_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    history_of("p").add(entry())
    assert (tmp_path / "sluice" / "admission" / "p.json").is_file()
