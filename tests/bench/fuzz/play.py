"""Twelve callers send cases until time or cases are over; what was wrong is made small and kept."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from tests.bench.fuzz.case import Case
from tests.bench.fuzz.verdict import fault_of, kind_of
from tests.bench.fuzz.wire import BrokenAnswerError, Wire

CALLERS = 12
ANSWER_S = 60.0  # a few tokens on a busy machine
LEAVE_S = 5.0  # an answer without a limit is not waited for
_MEANWHILE_S = 5.0
_REFUSED = "refused"
_GONE = 100  # connections refused in a row: nothing is there any more
_HEALTH = Case("GET", "/health", headers=(), limited=True)
_TRIES = 80  # requests spent on making one case small


@dataclass(slots=True)
class Finding:
    """One kind of fault, by the smallest case that has it."""

    fault: str
    case: Case
    count: int = 1


@dataclass(slots=True)
class Played:
    """What came of a run."""

    cases: int = 0
    taken_s: float = 0.0
    statuses: Counter[tuple[str, str]] = field(default_factory=Counter)  # by route and status
    findings: dict[str, Finding] = field(default_factory=dict)  # by kind and route
    slowest_health_s: float = 0.0


async def play(
    address: tuple[str, int],
    cases: Iterator[Case],
    *,
    most: int,
    seconds: float,
    meanwhile: Callable[[], object] = bool,
) -> Played:
    """Sends `most` cases, or what goes into `seconds`; calls `meanwhile` every few seconds."""
    played = Played()
    begun_s = time.monotonic()
    end_s = begun_s + seconds
    refused = 0  # connections in a row

    async def call() -> None:
        wire = Wire(*address)
        nonlocal refused
        while played.cases < most and time.monotonic() < end_s and refused < _GONE:
            case = next(cases)
            played.cases += 1
            status, fault = await _judge(wire, case)
            refused = refused + 1 if status == _REFUSED else 0
            played.statuses[case.path.partition("?")[0], status] += 1
            if fault is not None:
                _note(played, case, fault)
        await wire.close()

    watches = [
        asyncio.create_task(_watch_health(address, played)),
        asyncio.create_task(_every(_MEANWHILE_S, meanwhile)),
    ]
    await asyncio.gather(*(call() for _ in range(CALLERS)))
    meanwhile()
    for watch in watches:
        watch.cancel()
    await asyncio.gather(*watches, return_exceptions=True)
    played.taken_s = time.monotonic() - begun_s
    for finding in played.findings.values():
        finding.case = await smallest(address, finding)
    return played


async def smallest(address: tuple[str, int], finding: Finding) -> Case:
    """The case with everything taken out that its kind of fault does not need."""
    wire, kind, best = Wire(*address), kind_of(finding.fault), finding.case
    tries = 0
    again = True
    while again and tries < _TRIES:
        again = False
        for smaller in _smaller(best):
            tries += 1
            _, fault = await _judge(wire, smaller)
            if fault is not None and kind_of(fault) == kind:
                best, again = smaller, True
                break
            if tries >= _TRIES:
                break
    await wire.close()
    return best


async def _judge(wire: Wire, case: Case) -> tuple[str, str | None]:
    """Status and fault."""
    try:
        answer = await wire.ask(case, within_s=ANSWER_S if case.limited else LEAVE_S)
    except TimeoutError:
        return ("hung", f"no answer in {ANSWER_S:.0f} s") if case.limited else ("left", None)
    except BrokenAnswerError as fault:
        return "broken", str(fault)
    except OSError as fault:
        return _REFUSED, f"no connection: {fault}"
    status = f"{answer.status} left" if answer.cut else str(answer.status)
    return status, fault_of(case, answer)


def _note(played: Played, case: Case, fault: str) -> None:
    kind = f"{case.path.partition('?')[0]} {kind_of(fault)}"
    found = played.findings.get(kind)
    if found is None:
        played.findings[kind] = Finding(fault, case)
        return
    found.count += 1
    if len(case.body) < len(found.case.body):
        found.case, found.fault = case, fault


async def _watch_health(address: tuple[str, int], played: Played) -> None:
    """How long GET /health took at the most: the event loop must not be held up."""
    wire = Wire(*address)
    try:
        while True:
            begun_s = time.monotonic()
            _, fault = await _judge(wire, _HEALTH)
            took_s = time.monotonic() - begun_s
            played.slowest_health_s = max(played.slowest_health_s, took_s)
            if fault is not None:
                _note(played, _HEALTH, fault)
            await asyncio.sleep(0.2)
    finally:
        await wire.close()


async def _every(seconds: float, do: Callable[[], object]) -> None:
    while True:
        await asyncio.sleep(seconds)
        await asyncio.to_thread(do)


def _smaller(case: Case) -> Iterator[Case]:
    """The case without one of its parts, whole branches first."""
    if len(case.headers) > 1:
        for at in range(1, len(case.headers)):
            yield replace(case, headers=case.headers[:at] + case.headers[at + 1 :])
    try:
        body = json.loads(case.body)
    except (ValueError, RecursionError):
        return
    for smaller in _trees_below(body):
        yield replace(case, body=json.dumps(smaller).encode())


def _trees_below(value: Any) -> Iterator[Any]:
    """`value` without one of its parts, each in turn."""
    if isinstance(value, dict):
        yield from ({n: inner for n, inner in value.items() if n != name} for name in value)
        for name, inner in value.items():
            yield from (value | {name: smaller} for smaller in _trees_below(inner))
    elif isinstance(value, list):
        yield from (value[:at] + value[at + 1 :] for at in range(len(value)))
        for at, inner in enumerate(value):
            yield from ([*value[:at], smaller, *value[at + 1 :]] for smaller in _trees_below(inner))
