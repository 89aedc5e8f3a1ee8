"""Whether a move, a rename or a rewrite left every decision as it was: `make same`.

Three parts, each one digest: decisions of a full controller step by step, the cells of
`configs/grids/small.yaml`, and `sluice plan --json` for five workloads. They are compared with
`tests/bench/same.json`, to the last bit, so on the kind of machine that wrote it. What was
compared lies in bench-results/same; with `--write` it becomes the reference, for a change that is
meant to change something.

    .venv/bin/python -m tests.bench.same [--write]
"""

import argparse
import enum
import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from admission.terms.decision import Accepted, Priority
from tests.bench.admission import LEASES, TARGETS, Load
from tests.bench.report import machine

ROOT = Path(__file__).parents[2]
REFERENCE = Path(__file__).with_suffix(".json")
RESULTS = ROOT / "bench-results" / "same"
ROUNDS = 150
_WORKLOADS = ("chat", "rag", "long-context", "code", "loadtests/traces/azure2023_conv.csv.gz")
_SERVER = ("--model", "Qwen/Qwen3-32B", "--gpu", "a10", "--gpus", "8")
_OF_THE_RUN = ("inputs", "seconds", "cpu_s", "wall_s", "at", "date")  # keys that no decision makes


def main(arguments: list[str]) -> int:
    """Plays all parts; 1 when one differs from the reference."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.same")
    parser.add_argument("--write", action="store_true", help="make this the reference")
    write = parser.parse_args(arguments).write
    RESULTS.mkdir(parents=True, exist_ok=True)
    found = {name: _digest(name, part()) for name, part in PARTS.items()}
    if write:
        REFERENCE.write_text(json.dumps({"machine": machine()} | found, indent=1) + "\n")
        return 0
    expected = json.loads(REFERENCE.read_text())
    differs = [name for name in found if found[name] != expected[name]]
    for name in found:
        print(f"{name:10} {'DIFFERS' if name in differs else 'same'}")
    return int(bool(differs))


def _digest(name: str, told: Iterator[Any]) -> str:
    lines = [json.dumps(plain(each), sort_keys=True) for each in told]
    (RESULTS / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def plain(value: Any) -> Any:
    """Values without the names of classes and fields, which may change."""
    if is_dataclass(value) and not isinstance(value, type):
        return [plain(getattr(value, field.name)) for field in fields(value)]
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items() if key not in _OF_THE_RUN}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, enum.Enum | bytes):
        return value.hex() if isinstance(value, bytes) else plain(value.value)
    if hasattr(value, "tolist"):
        return value.tolist()
    names = getattr(type(value), "__slots__", None) or getattr(value, "__dict__", None)
    return value if names is None else [plain(getattr(value, name)) for name in names]


def decisions() -> Iterator[Any]:
    """Offers, turns and the curve of a full engine with a full queue, by step."""
    for target_s in TARGETS.values():
        load = Load(target_s)
        for number in range(ROUNDS):
            ended = load.grow()
            turns = load.controller.progress(load.record(ended), load.now_s)
            for row in ended:
                turns += load.finish(row)
            load.start([turn.decision for turn in turns])
            answers = [
                load.controller.offer(load.request(priority), load.now_s)
                for priority in (Priority.NORMAL, Priority.HIGH)
            ]
            load.start([each.decision for each in answers if isinstance(each.decision, Accepted)])
            assert len(load.rows) <= LEASES
            yield [number, turns, answers, load.controller.ledger.curve.peak()]


def grid() -> Iterator[Any]:
    """The cells of the small grid."""
    with tempfile.TemporaryDirectory() as folder:
        words = ("lab", "grid", "configs/grids/small.yaml", "--out", folder, "--jobs", "2")
        _sluice(*words)
        for file in sorted(Path(folder).glob("*.json")):
            told = file.read_text().replace(f"{ROOT}/", "")  # of profiles and traces
            yield [file.stem, json.loads(told)]


def plans() -> Iterator[Any]:
    """Five workloads on the server of the README."""
    for workload in _WORKLOADS:
        yield [workload, json.loads(_sluice("plan", *_SERVER, "--json", "--workload", workload))]


PARTS = {"decisions": decisions, "grid": grid, "plans": plans}


def _sluice(*words: str) -> str:
    command = [sys.executable, "-m", "serve.commands.cli", *words]
    done = subprocess.run(  # noqa: S603 - our own
        command, cwd=ROOT, check=False, stdout=subprocess.PIPE, text=True
    )
    assert done.returncode in {0, 1}, command  # 1: a plan's "no"
    return done.stdout


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
