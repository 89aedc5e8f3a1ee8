"""The prediction of `sluice plan` for the same load, to compare with the measured limit.

It runs the command as a user would: load tests depend only on its output. The plan knows the
scenarios by name; for a trace it receives drawn lengths.
"""

import csv
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtests.asking.ask import Scenario
from loadtests.scenarios import SCENARIOS

_ASKS = 2000  # lengths that represent the scenario
_MOST_S = 60.0  # real seconds; the plan takes one


@dataclass(frozen=True, slots=True)
class Prediction:
    """Users that the plan predicts, with its range; `binds` = its binding limit."""

    low: int
    expected: int
    high: int
    binds: str

    def error_ratio(self, measured: int) -> float | None:
        """(predicted - measured) / measured; None if `measured` is 0."""
        return (self.expected - measured) / measured if measured else None


def predict(config: Path, scenario: Scenario, slo: str, seed: int) -> Prediction:
    """The prediction for the endpoint's profile; ValueError has the plan's own message."""
    with tempfile.TemporaryDirectory() as folder:
        workload = scenario.name
        if workload not in SCENARIOS:
            trace = Path(folder) / f"{scenario.name}.csv"
            _write_trace(trace, scenario, seed)
            workload = str(trace)
        command = [sys.executable, "-m", "serve.commands.cli", "plan", "--json"]
        options = ["--config", str(config), "--workload", workload, "--slo", slo]
        plan = subprocess.run(  # noqa: S603 - our own command
            [*command, *options], capture_output=True, text=True, timeout=_MOST_S, check=False
        )
    if plan.returncode:
        raise ValueError(plan.stderr.strip() or f"sluice plan ended with {plan.returncode}")
    return _read(json.loads(plan.stdout))


def _write_trace(path: Path, scenario: Scenario, seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311 - a workload, no secret
    asks = [scenario.draw(rng) for _ in range(_ASKS)]
    for ask in asks:
        if ask.given is not None and ask.given.known_output_tokens() is None:
            raise ValueError(f"{ask.given.given.place}: --config needs output_tokens for a plan")
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("prompt_tokens", "output_tokens"))
        rows.writerows((ask.prompt_tokens, ask.output_tokens) for ask in asks)


def _read(plan: Mapping[str, Any]) -> Prediction:
    users = plan["sustained_concurrency"]
    return Prediction(users["low"], users["expected"], users["high"], plan["binding_limit"])
