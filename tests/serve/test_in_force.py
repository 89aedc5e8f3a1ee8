"""Bad admission settings never end a service: the old ones stay, and everybody can see it."""

from pathlib import Path

import pytest

from serve.profile.in_force import InForce
from serve.profile.settings import AdmissionSection

PROFILE = AdmissionSection()
GOOD = {"mode": "shadow"}
BAD = {"mode": "shadow", "kv_headroom_ratio": 7}


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_good_settings_are_taken() -> None:
    in_force = InForce(PROFILE, "p")
    section = in_force.offer(GOOD)
    assert section is not None
    assert section.mode == "shadow"
    assert in_force.as_json()["hash"] == section.hash()
    assert in_force.as_json()["refused"] is None


def test_bad_settings_leave_the_old_ones_and_say_why() -> None:
    in_force = InForce(PROFILE, "p")
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
    InForce(PROFILE, "p").offer(given)


def test_a_replica_that_starts_with_bad_settings_takes_the_last_good_ones() -> None:
    InForce(PROFILE, "p").offer(GOOD)
    restarted = InForce(PROFILE, "p")
    section = restarted.offer(BAD)
    assert section is not None
    assert section.mode == "shadow"
    assert restarted.refused


def test_a_first_start_with_bad_settings_takes_the_profiles() -> None:
    first = InForce(PROFILE, "never started before")
    assert first.offer(BAD) == PROFILE
    assert first.refused
