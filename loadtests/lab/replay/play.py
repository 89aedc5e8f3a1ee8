"""Replays a log: the same arrivals through the gateway's admission and a fresh engine."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from admission.price.footprint import EngineShape
from admission.terms.decision import Outcome as Answer
from admission.terms.settings import Settings
from loadtests.lab.catalogue import EngineFacts
from loadtests.lab.playing.door import Bounds
from loadtests.lab.playing.gateway import OurGateway
from loadtests.lab.playing.outcome import PlayedOutcome
from loadtests.lab.playing.play import EngineLike, play_one
from loadtests.lab.replay.entry import LoggedEnd
from loadtests.lab.replay.read import entries_of
from loadtests.lab.replay.traffic import TrafficPart
from serve.gate.decision_log import DecisionLog

TO_THE_END = Bounds(math.inf, math.inf)  # each request is judged by its own bounds at the end


class Closing(EngineLike, Protocol):
    """An engine of one run."""

    def close(self) -> None:
        """Frees its memory."""
        ...


class EnginesLike(Protocol):
    """A source of fresh engines of one kind."""

    @property
    def shape(self) -> EngineShape:
        """What each engine can hold."""
        ...

    def facts(self, bounds: Bounds, settings: Settings | None) -> EngineFacts:
        """What admission knows about them."""
        ...

    def fresh(self) -> Closing:
        """An idle engine with an empty cache."""
        ...


class _Records(list[Mapping[str, Any]]):
    """A decision log in memory."""

    def write(self, line: Mapping[str, Any]) -> None:
        self.append(line)


def replay(
    parts: Sequence[TrafficPart], engines: EnginesLike, settings: Settings
) -> dict[int, LoggedEnd]:
    """The outcome of every request under `settings`, by its place in the log."""
    fates: dict[int, LoggedEnd] = {}
    for part in parts:
        fates |= _played(part, engines, settings)
    return fates


def _played(part: TrafficPart, engines: EnginesLike, settings: Settings) -> dict[int, LoggedEnd]:
    records = _Records()
    decisions = DecisionLog(records, wall_s=lambda: 0.0)
    line = engines.facts(TO_THE_END, settings).line
    door = OurGateway(engines.shape, settings, None, line=line, decisions=decisions)
    engine = engines.fresh()
    try:
        played = play_one(part.workload, engine, door, TO_THE_END)
    finally:
        engine.close()
    told = {int(entry.asked.request_id): entry.fate for entry in entries_of(records)}
    return {
        part.places[number]: told.get(number) or _before_a_price(outcome)
        for number, outcome in enumerate(played.outcomes)
    }


def _before_a_price(outcome: PlayedOutcome) -> LoggedEnd:
    """The outcome of a request refused before it was priced; logs have no line for it."""
    return LoggedEnd(Answer.REJECTED, outcome.refusal)
