"""What the gate needs of its engine; `serve.engine.start.Engine` is it."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from admission.price.footprint import EngineShape, RequestShape


class Pinged(Protocol):
    """What the watch needs of the engine."""

    @property
    def errored(self) -> bool:
        """Whether it has died."""
        ...

    async def ping(self) -> None:
        """Returns once the engine has answered, and so has heard of every abort sent before."""
        ...

    def kill(self) -> None:
        """Ends the engine's processes at once, also stopped ones."""
        ...


class EngineLike(Pinged, Protocol):
    """What the gate needs of the engine."""

    shape: EngineShape

    @property
    def unfinished(self) -> int:
        """Sequences it has not finished."""
        ...

    async def abort(self, engine_ids: Sequence[str]) -> int:
        """End those requests that are unfinished; returns how many there were."""
        ...

    async def shape_of_body(
        self, route: str, body: dict[str, Any], *, waits: Callable[[], None]
    ) -> RequestShape:
        """Shape of a body that is not run; ValueError when it is invalid.

        Calls `waits` when it is rendered and what is left takes longer.
        """
        ...

    async def models(self) -> list[dict[str, Any]]:
        """The models that it serves, in OpenAI's shape."""
        ...

    def fault_in(self, route: str, body: dict[str, Any]) -> str | None:
        """What its parser finds wrong with a body of one of its routes; None: nothing."""
        ...
