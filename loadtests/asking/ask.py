"""What one request asks for, and what such asks are drawn from."""

import random
from dataclasses import dataclass, replace
from typing import Protocol

from loadtests.asking.given import Asked


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
    given: Asked | None = None  # a prompt of a file, which is asked as it is


class Scenario(Protocol):
    """Anything that asks can be drawn from."""

    @property
    def name(self) -> str:
        """How `--scenario` knows it."""
        ...

    def draw(self, rng: random.Random) -> Ask:
        """The next ask."""
        ...

    def fresh(self) -> "Scenario":
        """The same, of which nothing was drawn yet: to look without taking anything away."""
        ...


_SPARE = (16, 0.01)  # tokens, and share of the prompt: words are counted, not tokenized
_TRIES = 1000


def fitted(ask: Ask, context_tokens: int | None) -> Ask | None:
    """The ask as a context of so many tokens holds it: its `max_tokens` cut to what is left.

    None where the answer itself does not fit. A context of None holds everything; a prompt of a
    file is left as it is, for its tokens are not counted yet.
    """
    if context_tokens is None or ask.given is not None:
        return ask
    spare_tokens, spare_ratio = _SPARE
    room = context_tokens - spare_tokens - round(ask.prompt_tokens * (1 + spare_ratio))
    if room < ask.output_tokens:
        return None
    return replace(ask, max_tokens=min(ask.max_tokens, room))


@dataclass(frozen=True, slots=True)
class Fitting:
    """A scenario without what the endpoint's context does not hold: that is another test."""

    scenario: Scenario
    context_tokens: int | None

    @property
    def name(self) -> str:
        """The scenario's own."""
        return self.scenario.name

    def fresh(self) -> "Fitting":
        """To look without taking anything away."""
        return Fitting(self.scenario.fresh(), self.context_tokens)

    def draw(self, rng: random.Random) -> Ask:
        """The next that fits; ValueError where next to nothing does."""
        for _ in range(_TRIES):
            if (ask := fitted(self.scenario.draw(rng), self.context_tokens)) is not None:
                return ask
        raise ValueError(f"{self.name} does not fit a context of {self.context_tokens} tokens")
