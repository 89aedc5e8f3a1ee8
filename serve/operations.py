"""Operations on a running gateway: change settings, reload keys, reopen log files."""

import logging
from collections.abc import Callable
from typing import Any, Protocol

from serve.access.key_ring import KeyRing
from serve.observability.metric_table import CONFIG_REFUSED
from serve.observability.metrics import Metrics
from serve.profile.history import Via
from serve.profile.in_force import InForce
from serve.profile.settings import AdmissionSection

_log = logging.getLogger("sluice.settings")


class Changing(Protocol):
    """The gate as operations see it."""

    @property
    def replica(self) -> str:
        """Names this start of one engine."""
        ...

    def reconfigure(self, section: AdmissionSection) -> None:
        """Puts `section` in force."""
        ...


class Operations:
    """Of one replica. A change of settings is one call on the loop: no request meets half of it."""

    def __init__(
        self,
        gate: Changing,
        in_force: InForce,
        ring: KeyRing,
        metrics: Metrics,
        *,
        reopen_logs: Callable[[], None] = lambda: None,
    ) -> None:
        self._gate = gate
        self._in_force = in_force
        self._ring = ring
        self._metrics = metrics
        self._reopen_logs = reopen_logs

    @property
    def section(self) -> AdmissionSection:
        """The admission section in force."""
        return self._in_force.section

    def history(self) -> dict[str, Any]:
        """The last settings and where they came from, newest first."""
        newest_first = reversed(self._in_force.history.entries)
        return {
            "replica": self._gate.replica,
            "hash": self.section.hash(),
            "history": [entry.as_json() for entry in newest_first],
        }

    def earlier(self, to: str | None) -> AdmissionSection:
        """See `InForce.earlier`."""
        return self._in_force.earlier(to)

    def change(self, section: AdmissionSection, *, via: Via, by: str) -> dict[str, Any]:
        """`section` from now on; equal settings change nothing and make no entry.

        `kept` is false when a replica that replaces this one would not find them.
        """
        previous = self.section.hash()
        changed = []
        if section.hash() != previous:
            changed = self._in_force.take(section, via=via, by=by)
            self._gate.reconfigure(section)
        told = self._in_force.as_json()
        return {
            "replica": self._gate.replica,
            "hash": section.hash(),
            "previous": previous,
            "changed": changed,
            "applied_at": told["applied_at"],
            "kept": told["kept"],
        }

    def offer(self, user_config: object) -> None:
        """Serve's settings: applied, or refused and reported."""
        self._take(self._in_force.offer, user_config)

    async def reload_keys(self, *, by: str | None) -> dict[str, Any]:
        """See `KeyRing.reload`."""
        return {"replica": self._gate.replica} | await self._ring.reload(by=by)

    async def reload(self, admission: dict[str, Any] | None) -> dict[str, Any]:
        """SIGHUP: log files opened again, keys read again, the profile's section if it changed.

        `refused` joins what was refused of settings and keys; `keys` is None when they were.
        """
        try:
            self._reopen_logs()
        except OSError as fault:
            _log.error("a log file could not be opened again: %s", fault)
        keys = await self._ring.reload()
        if admission is not None:
            self._take(self._in_force.reread, admission)
        refusals = [self._in_force.refusal() if admission is not None else None, keys["refused"]]
        return {
            "replica": self._gate.replica,
            "hash": self.section.hash(),
            "refused": "\n".join(filter(None, refusals)) or None,
            "keys": keys["count"] if keys["refused"] is None else None,
        }

    def _take(self, offer: Callable[[object], AdmissionSection | None], given: object) -> None:
        before = self._in_force.refusals
        section = offer(given)
        if self._in_force.refusals > before:
            self._metrics.count(CONFIG_REFUSED)
        if section is not None:
            self._gate.reconfigure(section)
