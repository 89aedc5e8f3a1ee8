"""Which settings hold: bad ones never end a service, and an operator's outlive their replica."""

import logging
from pathlib import Path
from typing import Any

import pytest

from serve.profile.difference import changes
from serve.profile.history import History, Via, history_of
from serve.profile.in_force import InForce
from serve.profile.settings import AdmissionSection, parse_admission

PROFILE = AdmissionSection()
GOOD = {"mode": "shadow"}
BAD = {"mode": "shadow", "kv_headroom_ratio": 7}
OPERATORS = parse_admission({"kv_headroom_ratio": 0.3})


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def a_replica(
    start: str = "first", name: str = "p", section: AdmissionSection = PROFILE
) -> InForce:
    return InForce(section, history_of(name), start=start)


def begun(start: str = "first", **given: Any) -> InForce:
    """A replica that has heard its first settings from Serve."""
    in_force = a_replica(start)
    in_force.offer(given or PROFILE.mapping())
    return in_force


# -- Serve's settings ----------------------------------------------------------------------


def test_good_settings_are_taken() -> None:
    in_force = a_replica()
    section = in_force.offer(GOOD)
    assert section is not None
    assert section.mode == "shadow"
    told = in_force.as_json()
    assert (told["hash"], told["via"], told["by"]) == (section.hash(), "start", None)
    assert told["refused"] is None
    assert told["kept"]


def test_bad_settings_leave_the_old_ones_and_say_why() -> None:
    in_force = a_replica()
    in_force.offer(GOOD)
    before = in_force.section
    assert in_force.offer(BAD) is None
    assert in_force.section is before
    refused = in_force.as_json()["refused"]
    assert "kv_headroom_ratio" in refused["why"]
    assert len(refused["hash"]) == 12
    in_force.offer(GOOD)
    assert not in_force.refused


@pytest.mark.parametrize("given", [None, [], "off", {"nonsense": 1}, {1: 2}, {"line": None}])
def test_nothing_that_serve_could_send_raises(given: object) -> None:
    a_replica().offer(given)


def test_a_replica_that_starts_with_bad_settings_takes_the_last_good_ones() -> None:
    begun("first", **GOOD)
    for start in ("first", "second"):
        restarted = a_replica(start)
        section = restarted.offer(BAD)
        assert section is not None
        assert section.mode == "shadow"
        assert restarted.refused


def test_a_first_start_with_bad_settings_takes_the_profiles() -> None:
    first = a_replica(name="never started before")
    assert first.offer(BAD) == PROFILE
    assert first.refused


def test_serve_that_repeats_itself_takes_nothing_back() -> None:
    in_force = begun()
    in_force.take(OPERATORS, via=Via.PUT, by="ops")
    assert in_force.offer(PROFILE.mapping()) is None
    assert in_force.section == OPERATORS
    section = in_force.offer(GOOD)
    assert section is not None, "another user_config is another word of Serve's"
    assert in_force.as_json()["via"] == "serve"


# -- a replica in another's place ----------------------------------------------------------


def test_an_operators_settings_outlive_the_replica() -> None:
    begun().take(OPERATORS, via=Via.PUT, by="ops")
    replaced = a_replica()
    assert replaced.offer(PROFILE.mapping()) == OPERATORS
    told = replaced.as_json()
    assert (told["via"], told["by"], told["kept"]) == ("put", "ops", True)
    assert [entry.via for entry in replaced.history.entries] == ["start", "put"]


def test_what_serve_was_told_since_is_newer() -> None:
    begun().take(OPERATORS, via=Via.PUT, by="ops")
    section = a_replica().offer(GOOD)
    assert section is not None
    assert section.mode == "shadow"


def test_a_new_start_takes_its_own_and_says_that_others_were_in_force(
    caplog: pytest.LogCaptureFixture,
) -> None:
    begun("first").take(OPERATORS, via=Via.PUT, by="ops")
    with caplog.at_level(logging.WARNING):
        new = begun("second")
    assert new.section == PROFILE
    before = new.as_json()["before_start"]
    assert (before["hash"], before["via"], before["by"]) == (OPERATORS.hash(), "put", "ops")
    assert OPERATORS.hash() in caplog.text
    assert new.earlier(None) == OPERATORS


def test_a_new_start_with_the_same_settings_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    begun("first")
    with caplog.at_level(logging.WARNING):
        assert begun("second").as_json()["before_start"] is None
    assert caplog.text == ""


def test_kept_settings_that_are_valid_no_longer_do_not_stop_a_replica(
    caplog: pytest.LogCaptureFixture,
) -> None:
    in_force = begun()
    in_force.take(OPERATORS, via=Via.PUT, by="ops")
    file = next(Path(in_force.history._path).parent.glob("*.json"))  # type: ignore[arg-type]
    file.write_text(file.read_text().replace('"kv_headroom_ratio"', '"gone"'))
    assert a_replica().offer(PROFILE.mapping()) == PROFILE
    assert "cannot be used" in caplog.text


# -- the profile, read again ---------------------------------------------------------------


def test_a_profile_that_did_not_change_takes_nothing_back() -> None:
    in_force = begun()
    in_force.take(OPERATORS, via=Via.PUT, by="ops")
    assert in_force.reread(PROFILE.mapping()) is None
    assert in_force.section == OPERATORS


def test_a_profile_that_changed_is_taken_once_also_by_a_replica_in_anothers_place() -> None:
    in_force = begun()
    section = in_force.reread(GOOD)
    assert section is not None
    assert in_force.as_json()["via"] == "reload"
    in_force.take(OPERATORS, via=Via.PUT, by="ops")
    assert in_force.reread(GOOD) is None
    replaced = a_replica()
    replaced.offer(PROFILE.mapping())
    assert replaced.reread(GOOD) is None
    assert replaced.section == OPERATORS


def test_a_bad_profile_is_refused_whole() -> None:
    in_force = begun()
    assert in_force.reread(BAD) is None
    assert in_force.section == PROFILE
    assert "kv_headroom_ratio" in (in_force.refusal() or "")


# -- back ----------------------------------------------------------------------------------


def test_the_settings_before_and_any_of_the_history_can_be_had_again() -> None:
    in_force = begun()
    in_force.take(OPERATORS, via=Via.PUT, by="ops")
    in_force.take(parse_admission(GOOD), via=Via.PUT, by="ops")
    assert in_force.earlier(None) == OPERATORS
    assert in_force.earlier(PROFILE.hash()) == PROFILE
    assert in_force.earlier(in_force.section.hash()) == in_force.section
    with pytest.raises(ValueError, match=OPERATORS.hash()):
        in_force.earlier("0123456789ab")


def test_with_no_history_there_is_nothing_to_go_back_to() -> None:
    in_force = InForce(PROFILE, History())
    with pytest.raises(ValueError, match="no earlier settings"):
        in_force.earlier(None)


# -- what changed --------------------------------------------------------------------------


def test_a_change_names_each_key_with_both_values() -> None:
    old = parse_admission({"tenants": {"a": {"weight": 2}, "b": {}}})
    new = parse_admission({"queue": {"max_tokens": 5}, "tenants": {"a": {"weight": 3}, "c": {}}})
    found = {
        change["key"]: (change["from"], change["to"])
        for change in changes(old.mapping(), new.mapping())
    }
    terms = new.mapping()["tenants"]["c"]
    assert found == {
        "queue.max_tokens": (4_000_000, 5),
        "tenants.a.weight": (2, 3),
        "tenants.b": (terms, None),
        "tenants.c": (None, terms),
    }
