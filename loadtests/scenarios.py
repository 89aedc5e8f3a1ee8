"""What is asked: one entry per kind of use. Change a number here, or add an entry.

A trace file in place of a name asks for what its rows ask, drawn at random: the lengths of a real
service without its times.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from loadtests.asking.ask import Ask, Scenario
from loadtests.asking.lengths import Lengths
from loadtests.asking.schedule import ask_of
from loadtests.asking.trace_file import Row, is_trace, read_rows


@dataclass(frozen=True, slots=True)
class Use:
    """One kind of use. `shared_tokens` come before the prompt's own; `why` names the source."""

    name: str
    prompt: Lengths
    answer: Lengths
    why: str
    shared_tokens: int = 0

    def fresh(self) -> "Use":
        """Itself: nothing is taken away by drawing."""
        return self

    def draw(self, rng: random.Random) -> Ask:
        """Clients say the most they would take: most know no better."""
        return Ask(
            kind=self.name,
            prompt_tokens=self.shared_tokens + self.prompt.draw(rng),
            output_tokens=self.answer.draw(rng),
            max_tokens=self.answer.most_tokens,
            shared=((self.name, self.shared_tokens),) if self.shared_tokens else (),
        )


@dataclass(frozen=True, slots=True)
class Mixed:
    """Several kinds at once, each with its share of the requests (shares need not sum to 1)."""

    name: str
    parts: Sequence[tuple[float, Use]]

    def fresh(self) -> "Mixed":
        """Itself: nothing is taken away by drawing."""
        return self

    def draw(self, rng: random.Random) -> Ask:
        """An ask of a kind picked by share."""
        shares = [share for share, _ in self.parts]
        ((_, use),) = rng.choices(self.parts, weights=shares)
        return use.draw(rng)


@dataclass(frozen=True, slots=True)
class Traced:
    """The rows of a trace, each as likely; clients say the longest answer of all."""

    name: str
    rows: Sequence[Row]
    most_tokens: int

    def fresh(self) -> "Traced":
        """Itself: nothing is taken away by drawing."""
        return self

    def draw(self, rng: random.Random) -> Ask:
        """A row again."""
        return ask_of(rng.choice(self.rows), max_tokens=self.most_tokens)


CHAT = Use(
    "chat",
    prompt=Lengths(862, 728, most_tokens=4570),
    answer=Lengths(665, 638, most_tokens=2048),
    why="ShareGPT prompts answered by Qwen3-32B (LLMServingSim), mean, median and longest",
)
RAG = Use(
    "rag",
    prompt=Lengths(4096, 3800, most_tokens=12_000),
    answer=Lengths(512, 420, most_tokens=1500),
    why="eight passages of about 500 tokens, an answer of a page; means as the plan's preset",
)
LONG_CONTEXT = Use(
    "long-context",
    prompt=Lengths(12_035, 6909, most_tokens=30_000),
    answer=Lengths(343, 343, most_tokens=1024),
    why="Mooncake conversation trace: mean and median in, mean out, cut to a context of 32k",
)
CODE = Use(
    "code",
    prompt=Lengths(2048, 1469, most_tokens=7437),
    answer=Lengths(28, 13, most_tokens=1899),
    why="Azure 2023 code trace: means, medians and longest",
)
REASONING = Use(
    "reasoning",
    prompt=Lengths(200, 150, most_tokens=1000),
    answer=Lengths(2000, 1600, most_tokens=8192),
    why="a question in, a chain of thought out; no public trace, set by hand",
)
SHARED_PREFIX = Use(
    "shared-prefix",
    prompt=Lengths(300, 200, most_tokens=2000),
    answer=Lengths(300, 240, most_tokens=1024),
    shared_tokens=2000,
    why="an assistant with a system prompt of 2,000 tokens that all its users share; set by hand",
)
SMOKE = Use(
    "smoke",
    prompt=Lengths(64, 48, most_tokens=200),
    answer=Lengths(32, 24, most_tokens=64),
    why="small enough for a real model on one CPU core in CI",
)
SMOKE_READ = Use(
    "smoke-read",
    prompt=Lengths(400, 320, most_tokens=1200),
    answer=Lengths(12, 10, most_tokens=32),
    why="long in, short out, on a CPU",
)
SMOKE_WRITE = Use(
    "smoke-write",
    prompt=Lengths(32, 24, most_tokens=100),
    answer=Lengths(96, 80, most_tokens=256),
    why="short in, long out, on a CPU",
)
MIXED = Mixed("mixed", ((0.5, CHAT), (0.2, RAG), (0.2, CODE), (0.1, REASONING)))

SCENARIOS: dict[str, Scenario] = {
    each.name: each
    for each in (
        *(CHAT, RAG, LONG_CONTEXT, CODE, REASONING, SHARED_PREFIX, MIXED),
        *(SMOKE, SMOKE_READ, SMOKE_WRITE),
    )
}


def find_scenario(name: str) -> Scenario:
    """The scenario of that name or trace file; ValueError names those there are."""
    if is_trace(name):
        rows = read_rows(Path(name))
        return Traced(Path(name).name, rows, max(row.output_tokens for row in rows))
    if name not in SCENARIOS:
        names = ", ".join(SCENARIOS)
        raise ValueError(f"no scenario {name!r}; there are: {names}, or a trace file (CSV)")
    return SCENARIOS[name]
