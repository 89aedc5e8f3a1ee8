"""A grid's file: workloads, load points and policies."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from loadtests.lab.catalogue import ABLATIONS, NOISY, named, variants_of
from loadtests.lab.comparing.search import Trial, Tried
from loadtests.lab.jobs import Cell
from loadtests.lab.playing.door import Bounds
from loadtests.lab.playing.playable import context_tokens
from loadtests.lab.playing.workload import Cut

_SWEPT = "static"
_KNOWING = "oracle_a"  # the policy whose lengths get noise

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
_File = TypeVar("_File", bound=BaseModel)


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TrialPart(_Part):
    """The size of a trial, in requests."""

    warm_up: Annotated[int, Field(ge=0)]
    requests: Annotated[int, Field(ge=2)]


class WorkloadPart(_Part):
    """A trace; its bounds, if given, replace the grid's."""

    trace: Path
    max_tokens: Count = 2048
    restricted_kv_tokens: Count | None = None
    skip: Annotated[int, Field(ge=0)] = 0
    ttft_s: Positive | None = None


class PointPart(_Part):
    """A load in multiples of 1.0 x, with the planned or the restricted cache."""

    load: Positive
    restricted: bool = False


class GridFile(_Part):
    """The schema of the whole file."""

    profile: Path
    ttft_s: Positive
    tpot_s: Positive
    warm_up: Annotated[int, Field(ge=0)]
    requests: Annotated[int, Field(ge=2)]
    trial: TrialPart
    static_n: Count
    policies: str  # comma-separated: in a YAML list `off` would be a boolean
    workloads: Annotated[dict[str, WorkloadPart], Field(min_length=1)]
    points: Annotated[dict[str, PointPart], Field(min_length=1)]
    closely: list[str] = []


@dataclass(frozen=True, slots=True)
class Planned:
    """A cell to play once its 1.0 x is known; until then its rate is the trace's own."""

    cell: Cell
    tried: Tried
    trial: Trial

    @property
    def name(self) -> str:
        """The cell's name."""
        return self.cell.name


def parsed(path: Path, kind: type[_File]) -> _File:
    """Reads a grid's file as `kind`; ValueError names the fault."""
    try:
        return kind.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as problem:
        raise ValueError(f"{path}: {problem.strerror}") from problem
    except UnicodeDecodeError as problem:
        raise ValueError(f"{path}: not a text file (UTF-8); give a grid's YAML") from problem
    except yaml.YAMLError as problem:
        raise ValueError(f"{path}: no YAML: {' '.join(str(problem).split())}") from problem
    except ValidationError as problem:
        first = problem.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "no grid"
        raise ValueError(f"{path}: {where}: {first['msg']}") from problem


def read_grid(path: Path) -> list[Planned]:
    """The cells in the file's order; ValueError names the fault."""
    given = parsed(path, GridFile)
    cells = _cells(path, given)
    unknown = set(given.closely) - {planned.name for planned in cells}
    if unknown:
        raise ValueError(f"{path}: closely: no cell {', '.join(sorted(unknown))}")
    return cells


def _cells(path: Path, given: GridFile) -> list[Planned]:
    return [
        _planned(path, given, f"{workload}-{point}", given.workloads[workload], given.points[point])
        for workload in given.workloads
        for point in given.points
    ]


def _planned(
    path: Path, given: GridFile, name: str, workload: WorkloadPart, point: PointPart
) -> Planned:
    kv_tokens = workload.restricted_kv_tokens if point.restricted else None
    if point.restricted and kv_tokens is None:
        raise ValueError(f"{path}: {name}: the workload names no restricted_kv_tokens")
    profile = path.parent / given.profile
    cut = Cut(
        skip=workload.skip,
        warm_up=given.warm_up,
        limit=given.requests,
        max_tokens=workload.max_tokens,
        context_tokens=context_tokens(profile, kv_tokens),
    )
    cell = Cell(
        profile.resolve(),
        (path.parent / workload.trace).resolve(),
        cut,
        Bounds(workload.ttft_s or given.ttft_s, given.tpot_s),
        kv_tokens,
        load=point.load,
        named=name,
    )
    closely = name in given.closely
    sweeps = frozenset([_SWEPT]) if closely else frozenset()
    trial = Trial(given.trial.warm_up, given.trial.requests, sweeps=sweeps)
    policies = named(given.policies)
    policies += _more(policies) if closely else []
    tried = {policy: variants_of(policy, static_n=given.static_n) for policy in policies}
    return Planned(cell, tried, trial)


def _more(policies: Sequence[str]) -> list[str]:
    """Further policies for cells that are examined closely."""
    more = [*ABLATIONS, _KNOWING, *NOISY, _SWEPT]
    return [policy for policy in more if policy not in policies]
