"""What an operator may change of a gateway that serves; `serve/operations.py` is it."""

from typing import Any, Protocol

from serve.profile.history import Via
from serve.profile.settings import AdmissionSection


class OperationsLike(Protocol):
    """Settings and keys of one replica. A change takes place within the call, or not at all."""

    @property
    def several_replicas(self) -> bool:
        """True where a request reaches one replica of several."""
        ...

    @property
    def section(self) -> AdmissionSection:
        """The admission section in force."""
        ...

    def history(self) -> dict[str, Any]:
        """The last settings and where they came from, newest first; JSON."""
        ...

    def earlier(self, to: str | None) -> AdmissionSection:
        """Settings of the history by their hash; with None those before the present ones.

        Raises ValueError when there are none, ProfileError when they are no longer valid.
        """
        ...

    def change(self, section: AdmissionSection, *, via: Via, by: str) -> dict[str, Any]:
        """`section` from now on, as the tenant `by` asks; tells what that changed."""
        ...

    async def reload_keys(self, *, by: str | None) -> dict[str, Any]:
        """Reads the API keys again. Never raises: bad ones are refused whole, and said."""
        ...
