"""Decision logs for tests: made by the lab's gateway on a small engine, or line by line."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from admission.speed.linear_steps import StepCoefficients
from admission.terms.settings import Mode, Settings
from loadtests.lab.catalogue import EngineFacts
from loadtests.lab.playing.door import Bounds
from loadtests.lab.playing.gateway import OurGateway
from loadtests.lab.playing.play import play_one
from loadtests.lab.playing.workload import TraceWorkload
from loadtests.lab.replay.play import TO_THE_END
from serve.gate.decision_log import DecisionLog
from tests.loadtests.lab.fake_virtual_engine import SHAPE, FakeVirtualEngine
from tests.loadtests.lab.lab_cases import asked, workload_of

LINE = StepCoefficients(0.1, 0, 0, 0)
TIGHT = Settings(
    ttft_deadline_s=2.0,
    tpot_target_s=0.2,
    cold_start_output_tokens=16,
    cold_start_requests=10,
)


class Kept(list[Mapping[str, Any]]):
    """Records in memory."""

    def write(self, line: Mapping[str, Any]) -> None:
        self.append(line)


class Engine(FakeVirtualEngine):
    """One that is closed after its run."""

    def close(self) -> None: ...


class Engines:
    """Small engines on a virtual clock."""

    shape = SHAPE

    def facts(self, bounds: Bounds, settings: Settings | None) -> EngineFacts:
        return EngineFacts(SHAPE, settings or TIGHT, bounds, LINE, 1000.0)

    def fresh(self) -> Engine:
        return Engine()


def crowd(count: int = 120) -> TraceWorkload:
    """More than the small engine serves in time: some wait, some are refused."""
    return workload_of(
        *(
            replace(
                asked(n, 0.11 * n, prompt=40 + n % 50, output=3 + 7 * n % 40), tenant="ab"[n % 2]
            )
            for n in range(count)
        )
    )


def logged(workload: TraceWorkload, settings: Settings = TIGHT) -> list[Mapping[str, Any]]:
    """What a gateway under `settings` writes while the workload passes."""
    kept = Kept()
    decisions = DecisionLog(kept, wall_s=lambda: 1.7e9)
    door = OurGateway(SHAPE, settings, None, line=LINE, decisions=decisions)
    play_one(workload, FakeVirtualEngine(), door, TO_THE_END)
    return kept


def write(path: Path, records: Iterable[Mapping[str, Any]], *, tail: str = "") -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records) + tail)
    return path


def decision(name: str = "r1", at_s: float = 0.0, **changes: Any) -> dict[str, Any]:
    """One line of a decision."""
    return {
        "v": 1,
        "at": 1.7e9 + at_s,
        "mono_s": at_s,
        "id": name,
        "tenant": "a",
        "priority": "normal",
        "prompt_tokens": 32,
        "cached_tokens": 0,
        "prompts": 1,
        "sequences": 1,
        "max_tokens": 64,
        "known_length": False,
        "deadline_s": 1.0,
        "tpot_target_s": 0.2,
        "predicted": {"q50": 10, "q90": 20},
        "engine": asdict(SHAPE),
        "mode": "enforce",
        "outcome": "accepted",
        "reason": None,
        "config_hash": "0123456789ab",
        "replica": "one",
    } | changes


def end(name: str = "r1", **changes: Any) -> dict[str, Any]:
    """One line of an end."""
    return {
        "v": 1,
        "id": name,
        "waited_s": 0.0,
        "ttft_s": 0.5,
        "tpot_s": 0.1,
        "output_tokens": 12,
        "finish": "stop",
        "preemptions": 0,
        "replica": "one",
    } | changes


SHADOW = replace(TIGHT, mode=Mode.SHADOW)
