"""Runs of the lab, each a workload through a fresh engine; several at once in processes."""

import multiprocessing
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from tqdm import tqdm

from admission.settings import Settings
from serve.lab.catalogue import Variant, door_of
from serve.lab.door import Bounds
from serve.lab.engines import Engines, log_quietly
from serve.lab.play import Play, Played
from serve.lab.summary import Row, row
from serve.lab.workload import Cut, Workload, read_workload
from serve.profile.settings import load_profile


@dataclass(frozen=True, slots=True)
class Cell:
    """What all policies of one comparison have in common. Plain values: it goes to processes.

    `settings` replace the profile's own; `kv_tokens` the planned KV cache.
    """

    profile: Path
    trace: Path
    cut: Cut
    bounds: Bounds
    kv_tokens: int | None = None
    settings: Settings | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """One run."""

    cell: Cell
    variant: Variant


@dataclass(frozen=True, slots=True)
class Result:
    """What a run came to."""

    job: Job
    row: Row
    played: Played = field(repr=False)


@cache
def engines_of(profile: Path, kv_tokens: int | None) -> Engines:
    """One per process: what costs seconds to make."""
    log_quietly()
    return Engines(load_profile(profile), kv_tokens)


@cache
def workload_of(trace: Path, cut: Cut) -> Workload:
    """One per process."""
    return read_workload(trace, cut)


def run(job: Job) -> Result:
    """Play one job in this process."""
    cell = job.cell
    engines = engines_of(cell.profile, cell.kv_tokens)
    workload = workload_of(cell.trace, cell.cut)
    engine = engines.fresh()
    try:
        door = door_of(job.variant, engines.facts(cell.bounds, cell.settings))
        played = Play(workload, engine, door, cell.bounds).run()
    finally:
        engine.close()
    variant = job.variant
    return Result(job, row(variant.policy, variant.n, workload, played, cell.bounds), played)


def run_all(jobs: Sequence[Job], *, processes: int) -> list[Result]:
    """All jobs, results in their order; a bar on stderr where that is a terminal."""
    bar = tqdm(total=len(jobs), unit="run", file=sys.stderr, disable=None)
    with bar:
        return [_told(result, bar) for result in _results(jobs, processes)]


def _told(result: Result, bar: "tqdm[object]") -> Result:
    bar.update()
    bar.set_postfix_str(result.job.variant.policy)
    return result


def _results(jobs: Sequence[Job], processes: int) -> Iterator[Result]:
    if processes == 1:
        yield from map(run, jobs)
        return
    # spawned, not forked: torch has threads by the time vLLM is imported
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        yield from pool.map(run, jobs)


def best(results: Iterable[Result]) -> Result:
    """The run with the most requests in SLO; of equals the first."""
    return max(results, key=lambda result: result.row.share_of_offered)
