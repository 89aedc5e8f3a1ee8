"""The content of one request, and the scenarios from which it is drawn."""

import random
from dataclasses import dataclass, replace
from typing import Protocol

from loadtests.asking.given import Asked


@dataclass(frozen=True, slots=True)
class Ask:
    """One request's tokens in and out.

    The prompt begins with the `shared` pieces, (name, tokens); the same name gives the same text in
    every request. `max_tokens` is what the client sends; the gateway may not know the real length
    of the answer (`Ending`).
    """

    kind: str
    prompt_tokens: int
    output_tokens: int
    max_tokens: int
    shared: tuple[tuple[str, int], ...] = ()
    given: Asked | None = None  # a prompt from a file, sent unchanged


class Scenario(Protocol):
    """A source of requests."""

    @property
    def name(self) -> str:
        """Its name for `--scenario`."""
        ...

    def draw(self, rng: random.Random) -> Ask:
        """The next request."""
        ...

    def fresh(self) -> "Scenario":
        """A copy in its initial state, from which a caller can draw without side effects."""
        ...


_SPARE = (16, 0.01)  # margin in tokens and share of the prompt: word counts are inexact
_TRIES = 1000


def fitted(ask: Ask, context_tokens: int | None) -> Ask | None:
    """The request with `max_tokens` cut to what the context leaves; None if the answer is too long.

    A context of None holds everything. A prompt from a file is unchanged, since its tokens are not
    counted yet.
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
    """A scenario without the requests that exceed the endpoint's context."""

    scenario: Scenario
    context_tokens: int | None

    @property
    def name(self) -> str:
        """The scenario's name."""
        return self.scenario.name

    def fresh(self) -> "Fitting":
        """A copy in its initial state."""
        return Fitting(self.scenario.fresh(), self.context_tokens)

    def draw(self, rng: random.Random) -> Ask:
        """The next request that fits; ValueError if almost none does."""
        for _ in range(_TRIES):
            if (ask := fitted(self.scenario.draw(rng), self.context_tokens)) is not None:
                return ask
        raise ValueError(f"{self.name} does not fit a context of {self.context_tokens} tokens")
