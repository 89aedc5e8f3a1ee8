"""SIGHUP: reads settings and keys again, and reopens the logs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from serve.process.cluster import ClusterError, Replicas
from serve.profile.settings import Profile, ProfileError, load_profile

_TIMEOUT_S = 10.0  # of a replica: files to open, and settings to check


def reload(
    config: Path, started_with: Profile, replicas: Replicas, tell: Callable[[str], None]
) -> None:
    """Sends the admission section of the profile file to every replica; one line per outcome.

    If the profile is not valid, this is reported and nothing is sent.
    """
    try:
        profile = load_profile(config)
    except (ProfileError, OSError) as error:
        tell(f"not read again, the settings in force stay: {error}")
        return
    try:
        outcomes = replicas.ask("reload", profile.admission.mapping(), timeout_s=_TIMEOUT_S)
    except ClusterError as error:
        tell(f"{config} was read again, and not applied: {error}")
        return
    for outcome in outcomes:
        tell(f"{config} read again: {_told(outcome)}")
    if _but_admission(profile) != _but_admission(started_with):
        tell("sections beside admission have changed too; they apply from the next start on")


def _told(outcome: dict[str, Any]) -> str:
    keys = outcome["keys"]
    now = f"replica {outcome['replica']}, settings {outcome['hash']} in force"
    known = "" if keys is None else f", {keys} keys"
    refused = outcome["refused"]
    return f"{now}{known}" if refused is None else f"{now}{known}; refused: {refused}"


def _but_admission(profile: Profile) -> dict[str, Any]:
    """The part of a profile that a start fixes; host and port may come from the command line."""
    return profile.model_dump(exclude={"admission": True, "http": {"host", "port"}})
