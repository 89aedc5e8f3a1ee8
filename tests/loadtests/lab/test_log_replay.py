"""A replay under the settings that were in force decides as was logged."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from admission.terms.settings import Mode, Policy, Settings
from loadtests.lab.replay.entry import LogEntry, LoggedEnd
from loadtests.lab.replay.play import replay
from loadtests.lab.replay.read import Log, entries_of
from loadtests.lab.replay.report import ReplayRun, Report
from loadtests.lab.replay.summary import agreement, changes, counted
from loadtests.lab.replay.text import text
from loadtests.lab.replay.traffic import parts_of
from loadtests.lab.replay.true_lengths import lengths_of
from tests.loadtests.lab.lab_cases import asked, workload_of
from tests.loadtests.lab.log_cases import SHADOW, TIGHT, Engines, crowd, logged


def again(
    records: list[Mapping[str, Any]], settings: Settings = TIGHT
) -> tuple[tuple[LogEntry, ...], dict[int, LoggedEnd]]:
    entries = entries_of(records)
    deadlines = (TIGHT.ttft_deadline_s, settings.ttft_deadline_s)
    parts = parts_of(entries, lengths_of(entries, seed=1), deadline_s=deadlines)
    return entries, replay(parts, Engines(), settings)


@pytest.mark.parametrize("settings", [TIGHT, SHADOW], ids=lambda each: each.mode)
def test_the_settings_in_force_decide_all_as_logged(settings: Settings) -> None:
    entries, fates = again(logged(crowd(), settings), settings)
    places = counted(entries, 0)
    assert len(places) == 120
    found = agreement(entries, fates, places)
    assert (found.same_first, found.same_end) == (1.0, 1.0)
    assert [entries[place].fate for place in places] == [fates[place] for place in places]
    first = {entry.fate.first for entry in entries}
    assert len(first) == 3, "some are accepted, some wait, some are refused"


def test_a_restart_in_the_middle_is_played_as_one() -> None:
    records = [*logged(crowd(40)), *logged(crowd(40))]  # each log has a replica of its own
    entries, fates = again(records)
    found = agreement(entries, fates, counted(entries, 0))
    assert (found.counted, found.same_end) == (80, 1.0)


def test_other_settings_change_answers_and_say_whose() -> None:
    records = logged(crowd())
    entries, before = again(records)
    _, after = again(records, replace(TIGHT, policy=Policy.STATIC, static_limit=2))
    places = counted(entries, 0)
    found = changes(entries, before, after, places)
    assert len(found.kept_out) > len(found.let_in)
    refused = sum(after[place].refused for place in places)
    assert refused - sum(before[p].refused for p in places) == len(found.kept_out) - len(
        found.let_in
    )


def test_another_default_deadline_is_another_deadline_for_who_had_the_default() -> None:
    records = logged(crowd())
    _, before = again(records)
    _, after = again(records, replace(TIGHT, ttft_deadline_s=30.0))
    assert sum(fate.refused for fate in after.values()) < sum(
        fate.refused for fate in before.values()
    )


def test_a_request_of_many_answers_ends_with_its_last() -> None:
    many = replace(asked(0, 0.0, output=6), prompts=2, answers=2)
    both = workload_of(many, asked(1, 0.1))
    records = logged(both)
    entries, fates = again(records)
    assert [entry.fate.output_tokens for entry in entries] == [24, 4]
    assert [entry.asked.sequences for entry in entries] == [4, 1]
    assert fates == {place: entry.fate for place, entry in enumerate(entries)}


def report(records: list[Mapping[str, Any]], *settings: Settings) -> Report:
    entries = entries_of(records)
    names = ("replayed", "new")
    runs = tuple(
        ReplayRun(name, again(records, each)[1])
        for name, each in zip(names, settings, strict=False)
    )
    log = Log("decisions.jsonl", entries)
    return Report(log, lengths_of(entries, seed=1), seed=1, warm_up=0, replays=runs)


def test_the_report_fits_a_terminal_and_names_who_changes() -> None:
    told = report(logged(crowd()), TIGHT, replace(TIGHT, policy=Policy.STATIC, static_limit=2))
    shown = text(told)
    assert max(map(len, shown.splitlines())) <= 80, shown
    assert "lets in or refuses 100.0 % of 120" in " ".join(shown.split())
    assert "UNDER THE NEW SETTINGS " in shown
    assert "  accepted -> refused  " in shown
    assert "a/normal" in shown
    assert "shadow" not in shown.lower()
    keys = told.as_json()
    assert [run["name"] for run in keys["runs"]] == ["logged", "replayed", "new"]
    assert keys["agreement"]["same_end"] == 1.0
    assert keys["shadow"] is None


def test_what_shadow_mode_saw_is_told_without_playing() -> None:
    told = report(logged(crowd(), SHADOW))
    seen = told.shadow
    assert seen is not None
    assert seen.total.requests == 120
    assert seen.total.would_refuse == sum(seen.reasons.values()) > 0
    shown = text(told)
    assert "WHAT SHADOW MODE SAW: 120 requests that ended" in shown
    assert "  false refusals  " in shown
    assert told.agreement is None
    assert told.as_json()["shadow"]["would_refuse"] == seen.total.would_refuse


def test_in_shadow_nobody_is_refused_whatever_would_have_been() -> None:
    entries, fates = again(logged(crowd(), SHADOW), replace(TIGHT, mode=Mode.ENFORCE))
    places = counted(entries, 0)
    logged_fates = {place: entry.fate for place, entry in enumerate(entries)}
    assert not any(fate.refused for fate in logged_fates.values())
    found = changes(entries, logged_fates, fates, places)
    assert found.kept_out
    assert not found.let_in
