"""Runs of the lab, each a workload on a fresh engine; several in parallel in processes."""

import multiprocessing
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from threading import Lock, Thread
from typing import TYPE_CHECKING, TypeVar

from admission.terms.settings import Settings
from loadtests.lab.catalogue import EngineFacts, Variant, door_of
from loadtests.lab.oracle.clairvoyant import PORTFOLIO, Clairvoyant, dear_s
from loadtests.lab.oracle.known_engine import KnownEngine, cost_s
from loadtests.lab.playing.door import Bounds, FleetDoor, OneDoor
from loadtests.lab.playing.play import Play, Played
from loadtests.lab.playing.workload import Cut, TraceWorkload, read_workload
from loadtests.lab.progress import LabProgress
from loadtests.lab.summary import PolicyRow, row
from serve.profile.settings import load_profile

if TYPE_CHECKING:
    from loadtests.lab.playing.engines import Engines

ORACLE = "oracle_b"
_LOOK_S = 1.0  # between a worker's checks that its parent is alive
_MAKING = Lock()
_Given = TypeVar("_Given")
_Made = TypeVar("_Made")


@dataclass(frozen=True, slots=True)
class Cell:
    """What all policies of one comparison share. It holds plain values, so that it can be pickled.

    `settings` replaces the profile's own, `kv_tokens` the planned size of the KV cache.
    """

    profile: Path
    trace: Path
    cut: Cut
    bounds: Bounds
    kv_tokens: int | None = None
    settings: Settings | None = None
    load: float | None = None  # in multiples of 1.0 x; None = the rate was given otherwise
    named: str | None = None  # its name in a grid

    @property
    def name(self) -> str:
        """Its name in progress messages."""
        return self.named or f"{self.trace.name} x {self.cut.rate_scale:.3g}"


@dataclass(frozen=True, slots=True)
class Job:
    """One run: a cell under one variant of a policy."""

    cell: Cell
    variant: Variant


@dataclass(frozen=True, slots=True)
class JobResult:
    """The result of one run."""

    job: Job
    row: PolicyRow
    played: Played = field(repr=False)


RunAll = Callable[[Sequence[Job]], list[JobResult]]


def engines_of(profile: Path, kv_tokens: int | None) -> "Engines":
    """The engines of a profile, once per process: making them takes seconds. Thread-safe."""
    with _MAKING:
        return _engines(profile, kv_tokens)


@cache
def _engines(profile: Path, kv_tokens: int | None) -> "Engines":
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")  # its start-up log is noise here
    # imported here: vLLM takes ten seconds, and faulty arguments should fail before that
    from loadtests.lab.playing.engines import Engines  # noqa: PLC0415

    engines = Engines(load_profile(profile), kv_tokens)
    engines.shape  # noqa: B018 - looked at here: it makes an engine
    return engines


@cache
def workload_of(trace: Path, cut: Cut) -> TraceWorkload:
    """The workload of a trace, read once per process."""
    return read_workload(trace, cut)


def run(job: Job) -> JobResult:
    """Plays one job in this process."""
    cell = job.cell
    engines = engines_of(cell.profile, cell.kv_tokens)
    workload = workload_of(cell.trace, cell.cut)
    engine = engines.fresh()
    try:
        door = _door(job, engines.facts(cell.bounds, cell.settings), workload)
        played = Play(workload, [engine], door, cell.bounds).run()
    finally:
        engine.close()
    variant = job.variant
    return JobResult(job, row(variant.policy, variant.n, workload, played, cell.bounds), played)


def busy_scale(cell: Cell) -> float:
    """The multiple of the trace's rate at which the engine is always busy; an upper bound of 1.0 x.

    It follows from the work of the counted requests (`cost_s`), with nothing shared or cached.
    """
    facts = engines_of(cell.profile, cell.kv_tokens).facts(cell.bounds, cell.settings)
    workload, capacity = workload_of(cell.trace, cell.cut), facts.shape.capacity_tokens
    busy_s = sum(cost_s(request, facts.line, capacity) for request in workload.offered)
    return 2 * cell.cut.rate_scale * workload.span_s / busy_s  # doubled: prefixes may be cached


def _door(job: Job, facts: EngineFacts, workload: TraceWorkload) -> FleetDoor:
    if job.variant.policy != ORACLE:
        return OneDoor(door_of(job.variant, facts))
    plan, line, capacity = PORTFOLIO[job.variant.n or 0], facts.line, facts.shape.capacity_tokens
    costs = [cost_s(request, line, capacity) for request in workload.offered]
    known = KnownEngine(facts.shape, line, facts.bounds, margin=plan.margin)
    return Clairvoyant(plan, [known], facts.bounds, dear_s=dear_s(plan, costs))


@contextmanager
def runs(processes: int, shown: LabProgress) -> Iterator[RunAll]:
    """A function that runs jobs, in this process or in several that live as long as the block.

    Several threads may call the function at once.
    """
    if processes == 1:
        yield lambda jobs: _told(jobs, map(run, jobs), shown)
        return
    with pool_of(processes) as pool:
        yield lambda jobs: _told(jobs, pool.map(run, jobs), shown)


def pool_of(processes: int) -> ProcessPoolExecutor:
    """A pool whose processes end with this one, even if it is killed: they would wait forever."""
    # spawned, not forked: torch has started threads once vLLM is imported
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(
        processes, mp_context=context, initializer=_end_with, initargs=(os.getpid(),)
    )


def _end_with(parent: int) -> None:
    Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_S)
    os._exit(1)


def _told(jobs: Sequence[Job], coming: Iterable[JobResult], shown: LabProgress) -> list[JobResult]:
    """The results in order, each reported to `shown` when it comes."""
    shown.begin(sum(job.cell.cut.requests for job in jobs))
    results = []
    for result in coming:
        results.append(result)
        cell, row = result.job.cell, result.row
        line = f"{cell.name} {row.policy} {100 * row.share_of_offered:.1f} %"
        shown.done(cell.cut.requests, line)
    return results


def at_once(count: int, work: Callable[[_Given], _Made], given: Sequence[_Given]) -> list[_Made]:
    """Applies `work` to all of `given`, `count` at a time, so that processes stay busy."""
    if count == 1:
        return [work(each) for each in given]
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(work, given))


def best(results: Iterable[JobResult]) -> JobResult:
    """The run with the most requests in SLO; the first on a tie."""
    return max(results, key=lambda result: result.row.share_of_offered)
