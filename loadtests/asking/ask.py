"""What one request asks for, and what such asks are drawn from."""

import random
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Ask:
    """One request's size: so many tokens in, so many out.

    The prompt begins with the `shared` pieces, (name, tokens): one name, one text, whoever asks.
    `max_tokens` is what the client says; how long the answer really becomes may be hidden from
    the gateway (`Ending`).
    """

    kind: str
    prompt_tokens: int
    output_tokens: int
    max_tokens: int
    shared: tuple[tuple[str, int], ...] = ()


class Scenario(Protocol):
    """Anything that asks can be drawn from."""

    @property
    def name(self) -> str:
        """How `--scenario` knows it."""
        ...

    def draw(self, rng: random.Random) -> Ask:
        """The next ask."""
        ...
