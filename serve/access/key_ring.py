"""The API keys of a running gateway, reloaded without a restart."""

import asyncio
import logging
from typing import Any

from serve.access.tenants import Keys, load_keys
from serve.profile.access_section import AccessSection
from serve.profile.wall_time import wall_time

_log = logging.getLogger("sluice.access")

_NO_ADMIN = (
    "no administrator's key among the new API keys: this gateway could not be changed any more. "
    "Start it again to serve without one"
)


class KeyRing:
    """Reloads the keys from their sources. A bad source changes nothing.

    Requests that were admitted with a removed key run to their end.
    """

    def __init__(self, access: AccessSection, keys: Keys) -> None:
        self.keys = keys
        self._access = access
        self._loaded_at = wall_time()
        self._refused: str | None = None
        self._one_at_a_time = asyncio.Lock()  # otherwise an older reading could be applied last

    async def reload(self, *, by: str | None = None) -> dict[str, Any]:
        """Reads every source again: returns `as_json` and warnings. Never raises.

        `by` is the tenant that asks. The file is read outside the event loop: its disk may hang.
        """
        async with self._one_at_a_time:
            return await self._reload(by)

    async def _reload(self, by: str | None) -> dict[str, Any]:
        try:
            new = await asyncio.to_thread(load_keys, self._access)
            self._require_no_lock_out(new)
        except Exception as fault:  # noqa: BLE001 - whatever it is, the old keys open on
            self._refused = str(fault) or type(fault).__name__
            _log.error("API keys refused, the old ones stay: %s", self._refused)
            return self.as_json() | {"warnings": []}
        warnings = self._warnings(new, by)
        self.keys.become(new)
        self._loaded_at, self._refused = wall_time(), None
        _log.info("API keys read again: %d", new.count)
        for warning in warnings:
            _log.warning("API keys: %s", warning)
        return self.as_json() | {"warnings": warnings}

    def as_json(self) -> dict[str, Any]:
        """For /v1/admission/state; `refused` says why the last attempt changed nothing."""
        return {
            "count": self.keys.count,
            "loaded_at": self._loaded_at,
            "refused": self._refused,
        }

    def _require_no_lock_out(self, new: Keys) -> None:
        """Refuses keys that would open the gateway to all, or close it to every operator."""
        if self.keys.configured and not new.configured:
            raise ValueError("no API keys any more: without one the gateway is open to all")
        if self.keys.admins and not new.admins:
            raise ValueError(_NO_ADMIN)

    def _warnings(self, new: Keys, by: str | None) -> list[str]:
        warnings = []
        if new.configured and not new.admins:
            warnings.append("none of them is an administrator's")
        elif by is not None and new.configured and by not in new.admins:
            warnings.append(f"tenant {by}, which asked, has no administrator's key among them")
        if self._access.api_keys_env is not None:
            variable = self._access.api_keys_env
            warnings.append(
                f"variable {variable} is as it was at the start: a process's environment stays"
            )
        return warnings
