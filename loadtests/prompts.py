"""The scenario of a file: its prompts, shuffled, none twice before all were asked once."""

import hashlib
import random
from collections.abc import Sequence
from pathlib import Path

from loadtests.asking.ask import Ask, Scenario
from loadtests.asking.given import Asked, Given
from loadtests.asking.prompt_file import read_prompts
from loadtests.asking.prompts import Ending, Route

_HASH = 12  # hex digits


class Prompts:
    """A deck of a file's entries. Who only wants to know their sizes draws from `fresh()`."""

    def __init__(self, name: str, entries: Sequence[Given]) -> None:
        self.name = name
        self.entries = entries
        self._deck: list[Given] = []
        self._asked: set[str] = set()

    def fresh(self) -> "Prompts":
        """The same, of which nothing was asked yet."""
        return Prompts(self.name, self.entries)

    def draw(self, rng: random.Random) -> Ask:
        """The next; after the last the whole deck is shuffled again."""
        if not self._deck:
            self._deck = rng.sample(self.entries, k=len(self.entries))
        given = self._deck.pop()
        same = given.same()
        repeat = same in self._asked
        self._asked.add(same)
        return ask_of(Asked(given, repeat=repeat), self.name)

    def word(self) -> str:
        """What there is, for who reads the run."""
        turns = sum(max(1, len(each.turns)) for each in self.entries)
        distinct = len({each.same() for each in self.entries})
        said = f"{len(self.entries)} prompts from {self.name}"
        if turns > len(self.entries):
            said += f" with {turns} turns"
        if distinct < len(self.entries):
            said += f", {distinct} of them different"
        return said + "; as they are, so that a prefix cache may hold them from an earlier run"


def ask_of(asked: Asked, kind: str) -> Ask:
    """A turn as an ask; its sizes are guesses, for nobody has counted its tokens yet."""
    output_tokens = asked.output_tokens()
    return Ask(kind, asked.prompt_tokens(), output_tokens, output_tokens, given=asked)


def load_prompts(path: Path, route: Route, ending: Ending | None) -> Prompts:
    """ValueError where an entry cannot be asked as the run is to ask."""
    entries = read_prompts(path)
    for each in entries:
        if route is Route.COMPLETIONS and each.turns:
            raise ValueError(f"{each.place}: messages cannot be asked with --route completions")
        if route is Route.CHAT and isinstance(each.prompt, tuple):
            raise ValueError(f"{each.place}: token ids need --route completions")
        if ending is Ending.EXACT and Asked(each).known_output_tokens() is None:
            raise ValueError(f"{each.place}: --ending exact needs output_tokens in every entry")
    return Prompts(path.name, entries)


def about_prompts(scenario: Scenario) -> dict[str, object]:
    """For the first line of a run's file: which prompts, by name and content, and none of them."""
    if not isinstance(scenario, Prompts):
        return {}
    content = "\n".join(each.same() for each in scenario.entries).encode()
    return {"scenario": scenario.name, "prompts": hashlib.sha256(content).hexdigest()[:_HASH]}
