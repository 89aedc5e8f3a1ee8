"""What the edge needs of the other replicas of a gateway; `serve.peers` is it behind Ray Serve."""

from typing import Protocol

from serve.http.problems import Problem
from serve.http.routes.exchange import OwnRequest, OwnResponse

Told = dict[str, OwnResponse | Problem]  # by replica


class PeersLike(Protocol):
    """All replicas, this one included."""

    @property
    def count(self) -> int:
        """How many there should be."""
        ...

    async def ask(
        self, method: str, path: str, question: OwnRequest, only: str | None = None
    ) -> Told:
        """The answers of those that answer in time, each by the name of its replica. Never raises.

        With `only` no replica but the one of this name does what is asked, or answers. Where
        another replica hangs, only this one's own answer may be there.
        """
        ...


class Alone:
    """A gateway of one replica."""

    count = 1

    async def ask(self, *_: object) -> Told:
        """Nobody."""
        return {}
