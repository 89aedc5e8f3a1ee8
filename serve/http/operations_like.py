"""What an operator may change while the gateway runs; implemented by `serve/operations.py`."""

from typing import Any, Protocol

from serve.profile.history import Via
from serve.profile.settings import AdmissionSection


class OperationsLike(Protocol):
    """Settings and keys of one replica. A call changes everything it says, or nothing."""

    @property
    def section(self) -> AdmissionSection:
        """The admission section in force."""
        ...

    def history(self) -> dict[str, Any]:
        """The last settings and their origin, newest first; JSON."""
        ...

    def earlier(self, to: str | None) -> AdmissionSection:
        """Settings of the history by their hash; with None the previous ones.

        Raises ValueError when there are none, ProfileError when they are no longer valid.
        """
        ...

    def change(self, section: AdmissionSection, *, via: Via, by: str) -> dict[str, Any]:
        """Puts `section` in force for the tenant `by`; returns what changed."""
        ...

    async def reload_keys(self, *, by: str | None) -> dict[str, Any]:
        """Reads the API keys again. Never raises: a bad file changes nothing and is reported."""
        ...
