"""The admission settings in force, their origin, and the last refused ones.

Settings come from three sources: Serve's user_config, an operator's request, and the profile read
again (SIGHUP). Serve repeats its settings when a replica is replaced, the profile whenever logs are
reopened; a repetition does not undo what an operator has changed since.
"""

import hashlib
import json
import logging
from collections.abc import Callable
from typing import Any

from serve.profile.difference import Change, changes
from serve.profile.history import Entry, History, Via
from serve.profile.settings import AdmissionSection, ProfileError, parse_admission
from serve.profile.wall_time import wall_time

_log = logging.getLogger("sluice.settings")

_LOGGED_CHARS = 2000  # of the changes: there may be a thousand tenants
_SERVE, _PROFILE = "serve", "profile"  # the keys of `heard`


class InForce:
    """Applies valid settings, keeps the old ones if new ones are invalid, and records both.

    `start` names the start that this replica belongs to; a replaced replica has the same. Serve
    gives every new replica the last settings it was sent, valid or not. Valid ones apply unless an
    operator has changed them in this start; invalid ones are replaced by the last that worked, or
    by the profile's.
    """

    def __init__(
        self,
        section: AdmissionSection,
        history: History,
        *,
        start: str = "",
        now: Callable[[], str] = wall_time,
    ) -> None:
        self.section = section
        self.history = history
        self._start = start
        self._now = now
        self._heard = {_PROFILE: section.hash()}
        self._entry = self._made(section, Via.START, [])
        self._kept = False
        self._refused: dict[str, str] | None = None
        self.refusals = 0  # since the start of this replica
        self._first = True
        self._before_start: dict[str, Any] | None = None

    def offer(self, given: object) -> AdmissionSection | None:
        """Serve's user_config: the section to apply now, or None to keep the present one.

        Never raises.
        """
        first, self._first = self._first, False
        said = _digest(given)
        if not first and said == self._heard.get(_SERVE):
            return None  # Serve repeats itself, e.g. with a new rank
        self._heard[_SERVE] = said
        section = self._parsed(given, "user_config")
        if not first:
            return section and self._taken(section, Via.SERVE)
        applied = self._instead() if section is None else self._begin(section, said)
        self._compare_with_before()
        return applied

    def reread(self, given: object) -> AdmissionSection | None:
        """The profile's section, read again: as `offer`."""
        section = self._parsed(given, "the profile")
        if section is None or section.hash() == self._heard[_PROFILE]:
            return None
        self._heard[_PROFILE] = section.hash()
        if section.hash() == self.section.hash():
            return None
        return self._taken(section, Via.RELOAD)

    def take(self, section: AdmissionSection, *, via: Via, by: str | None = None) -> list[Change]:
        """Puts `section` in force; returns what changed. The caller informs the gate."""
        old, old_hash = self.section.mapping(), self.section.hash()
        changed = [] if via is Via.START else changes(old, section.mapping())
        self._refused = None
        self.section, self._entry = section, self._made(section, via, changed, by=by)
        self._kept = self.history.add(self._entry)
        if via is not Via.START:
            _log.info(
                "settings %s -> %s (%s%s): %s",
                old_hash,
                section.hash(),
                via,
                f" by {by}" if by else "",
                json.dumps(changed)[:_LOGGED_CHARS],
            )
        return changed

    def earlier(self, wanted: str | None) -> AdmissionSection:
        """The settings of that hash, or with None those in force before the present ones.

        Raises ValueError when the history has none, ProfileError when they are no longer valid.
        """
        present = self.section.hash()
        entries = [entry for entry in reversed(self.history.entries) if entry.hash != present]
        found = next((e for e in entries if wanted is None or e.hash == wanted), None)
        if found is None and wanted == present:
            return self.section
        if found is None:
            known = ", ".join(dict.fromkeys(entry.hash for entry in entries)) or "none"
            raise ValueError(
                "The history has no earlier settings."
                if wanted is None
                else f"The history has no settings {wanted[:64]}; others in it: {known}."
            )
        return parse_admission(found.settings, source=f"settings {found.hash}")

    @property
    def refused(self) -> bool:
        """Whether the last settings from Serve or the profile were refused."""
        return self._refused is not None

    def refusal(self) -> str | None:
        """Why the last settings from Serve or the profile were refused; None when they were not."""
        return None if self._refused is None else self._refused["why"]

    def as_json(self) -> dict[str, Any]:
        """For /v1/admission/state; wall time, ISO 8601."""
        return {
            "hash": self.section.hash(),
            "applied_at": self._entry.applied_at,
            "via": self._entry.via,
            "by": self._entry.by,
            "kept": self._kept,
            "refused": self._refused,
            "before_start": self._before_start,
        }

    def _parsed(self, given: object, source: str) -> AdmissionSection | None:
        """The section, or None if it is refused."""
        try:
            section = parse_admission(given, source=source)
        except ProfileError as error:
            self._refused = {"hash": _digest(given), "why": str(error)}
            self.refusals += 1
            stays = self.section.hash()
            _log.error("admission settings of %s refused, %s stay: %s", source, stays, error)
            return None
        self._refused = None
        return section

    def _made(
        self, section: AdmissionSection, via: Via, changed: list[Change], *, by: str | None = None
    ) -> Entry:
        return Entry(
            hash=section.hash(),
            applied_at=self._now(),
            by=by,
            via=via,
            changed=changed,
            settings=section.mapping(),
            start=self._start,
            heard=dict(self._heard),
        )

    def _taken(self, section: AdmissionSection, via: Via) -> AdmissionSection:
        self.take(section, via=via)
        return section

    def _begin(self, section: AdmissionSection, said: str) -> AdmissionSection:
        """A replica's first settings, if Serve's are valid."""
        earlier = self._newest(of_this_start=True)
        if earlier is None:
            return self._taken(section, Via.START)
        if earlier.heard.get(_SERVE) != said:
            return self._taken(section, Via.SERVE)
        return self._restore(earlier)

    def _instead(self) -> AdmissionSection:
        """The same if they are not: the last that worked, else the profile's."""
        entry = self._newest(of_this_start=True) or self._newest(of_this_start=False)
        section = self.section if entry is None else self._restore(entry)
        _log.error("started with the settings %s instead", section.hash())
        return section

    def _restore(self, entry: Entry) -> AdmissionSection:
        """Puts settings of the history in force again."""
        try:
            section = parse_admission(entry.settings, source="the history")
        except ProfileError as error:
            _log.error("settings %s of the history cannot be used: %s", entry.hash, error)
            return self.section
        self.section, self._entry, self._kept = section, entry, True
        if entry.start == self._start:
            self._heard[_PROFILE] = entry.heard.get(_PROFILE, self._heard[_PROFILE])
        _log.info("settings %s hold again (%s, %s)", entry.hash, entry.via, entry.applied_at)
        return section

    def _newest(self, *, of_this_start: bool) -> Entry | None:
        entries = reversed(self.history.entries)
        return next((e for e in entries if (e.start == self._start) is of_this_start), None)

    def _compare_with_before(self) -> None:
        """Logs when a start's profile differs from what was last in force."""
        before = self._newest(of_this_start=False)
        ours = [entry for entry in self.history.entries if entry.start == self._start]
        began_with = ours[0].hash if ours else self.section.hash()
        if before is None or before.hash == began_with:
            return
        told = before.as_json()
        self._before_start = {name: told[name] for name in ("hash", "applied_at", "via", "by")}
        _log.warning(
            "this start took the settings %s; last in force before it were %s (%s, %s)."
            " POST /v1/admission/settings/rollback can take them back",
            began_with,
            before.hash,
            before.via,
            before.applied_at,
        )


def _digest(given: object) -> str:
    """12 hex digits of a value as written."""
    written = json.dumps(given, sort_keys=True, default=str)
    return hashlib.sha256(written.encode()).hexdigest()[:12]
