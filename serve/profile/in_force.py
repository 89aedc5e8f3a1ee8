"""Which admission settings hold now, since when, and which were offered and refused."""

import datetime
import hashlib
import json
import logging
from typing import Any

from serve.profile import last_good
from serve.profile.settings import AdmissionSection, ProfileError, parse_admission

_log = logging.getLogger("sluice.settings")


class InForce:
    """Takes good settings, keeps the old ones when the new ones are bad, and remembers both.

    Serve hands every new replica the last settings it was sent, good or not, so the first ones
    that a replica hears may be bad: then those that last worked hold, else the profile's.
    """

    def __init__(self, section: AdmissionSection, profile_name: str) -> None:
        self.section = section
        self._profile_name = profile_name
        self._applied_at = _now()
        self._refused: dict[str, str] | None = None
        self._first = True

    def offer(self, given: object) -> AdmissionSection | None:
        """The section to apply now, or None when the present one stays. Never raises."""
        first, self._first = self._first, False
        try:
            section = parse_admission(given, source="user_config")
        except ProfileError as error:
            self._refuse(given, str(error))
            if not first:
                return None
            section = last_good.load(self._profile_name) or self.section
            _log.error("started with the settings %s instead", section.hash())
        else:
            last_good.save(section, self._profile_name)
            self._refused = None
        self.section, self._applied_at = section, _now()
        return section

    def _refuse(self, given: object, why: str) -> None:
        written = json.dumps(given, sort_keys=True, default=str)
        name = hashlib.sha256(written.encode()).hexdigest()[:12]
        self._refused = {"hash": name, "why": why}
        _log.error("admission settings %s refused, %s stay: %s", name, self.section.hash(), why)

    @property
    def refused(self) -> bool:
        """Whether the last settings offered were refused."""
        return self._refused is not None

    def as_json(self) -> dict[str, Any]:
        """For /v1/admission/state; wall time, ISO 8601."""
        return {
            "hash": self.section.hash(),
            "applied_at": self._applied_at,
            "refused": self._refused,
        }


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
