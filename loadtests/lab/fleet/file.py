"""A fleet grid's file: workloads, loads, numbers of engines, and arms."""

from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from loadtests.lab.fleet.cell import CENTRAL, KNOWING, PLANS, FleetCell
from loadtests.lab.fleet.routers import ROUTERS
from loadtests.lab.fleet.workloads import Chats, Part, Source, Trace
from loadtests.lab.grid.file import Count, Positive, parsed
from loadtests.lab.playing.door import Bounds
from loadtests.lab.playing.playable import context_tokens


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PerEngine(_Part):
    """Requests per engine for warm-up and counted; for the whole fleet at least `least`."""

    warm_up: Count
    requests: Count
    least: Count

    def of(self, engines: int, draw: int) -> Part:
        """The part of a workload that a fleet of so many engines plays."""
        counted = max(self.least, engines * self.requests)
        return Part(max(1, counted * self.warm_up // self.requests), counted, draw)


class ChatsPart(_Part):
    """The parameters of `Chats`."""

    system_prompts: Count = 20
    system_tokens: Count = 1536
    turns: Annotated[float, Field(ge=1)] = 4.0
    question_tokens: tuple[Positive, Positive] = (80, 0.9)
    answer_tokens: tuple[Positive, Positive] = (200, 0.8)
    think_s: Positive = 20.0


class SourcePart(_Part):
    """A trace file or chats from a seed."""

    trace: Path | None = None
    chats: ChatsPart | None = None

    @model_validator(mode="after")
    def _one(self) -> "SourcePart":
        if (self.trace is None) == (self.chats is None):
            raise ValueError("give it a trace or chats")
        return self

    def source(self, folder: Path, context: int) -> Source:
        """The source; a trace's path is relative to the grid's file."""
        if self.chats is not None:
            return Chats(context, **self.chats.model_dump())
        return Trace((folder / (self.trace or "")).resolve(), context)


class CellsPart(_Part):
    """Cells that differ only in workload, engines and load. `arms` replaces the grid's."""

    workloads: list[str]
    engines: list[Count]
    loads: list[Positive]
    age_s: Annotated[float, Field(ge=0)] = 0.1
    routers: Count = 1
    uneven: bool = False
    arms: list[str] | None = None


class FleetGridFile(_Part):
    """The schema of the whole file."""

    profile: Path
    ttft_s: Positive
    tpot_s: Positive
    per_engine: PerEngine
    draw: Count = 1
    arms: list[str]
    schedules: list[str]
    workloads: Annotated[dict[str, SourcePart], Field(min_length=1)]
    cells: Annotated[dict[str, CellsPart], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class PlannedFleet:
    """A cell before its rate is known: it becomes `load` times one engine's 1.0 x, per engine."""

    workload: str
    load: float
    cell: FleetCell
    arms: tuple[str, ...]
    schedules: tuple[str, ...]


def read_fleet_grid(path: Path) -> list[PlannedFleet]:
    """The cells in the file's order; ValueError names the fault."""
    given = parsed(path, FleetGridFile)
    profile = (path.parent / given.profile).resolve()
    context = context_tokens(profile, None)
    sources = {name: part.source(path.parent, context) for name, part in given.workloads.items()}
    bounds = Bounds(given.ttft_s, given.tpot_s)
    planned = []
    for group, part in given.cells.items():
        arms, unknown = part.arms or given.arms, set(part.workloads) - set(sources)
        if unknown:
            raise ValueError(f"{path}: cells.{group}: no workload {', '.join(sorted(unknown))}")
        _check(path, [*arms, *given.schedules])
        for workload, engines, load in product(part.workloads, part.engines, part.loads):
            cell = FleetCell(
                f"{group}-{workload}-{engines}-{load:g}x",
                profile,
                sources[workload],
                given.per_engine.of(engines, given.draw),
                bounds,
                engines,
                1.0,
                part.routers,
                part.age_s,
                part.uneven,
            )
            planned.append(
                PlannedFleet(
                    workload=workload,
                    load=load,
                    cell=cell,
                    arms=tuple(arms),
                    schedules=tuple(given.schedules),
                )
            )
    return planned


def _check(path: Path, arms: list[str]) -> None:
    known = [*ROUTERS, CENTRAL, KNOWING, *PLANS]
    for arm in arms:
        if arm.partition(":")[0] not in known:
            raise ValueError(f"{path}: no arm {arm!r}; there are {', '.join(known)}")
