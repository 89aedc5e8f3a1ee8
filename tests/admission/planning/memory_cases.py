"""Start-up logs of real engines (data/kv_cases.csv), each against what the memory model says.

The file's columns are the logs' figures with their sources; blank = not stated. A blank argument
is left out, so the model takes vLLM's default, and its own assumed release where none is given.
"""

import csv
import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from admission.planning.gpus import Gpu, find_gpu
from admission.planning.memory.budget import MemoryPlan, plan_memory
from admission.planning.memory.constants import MEASURED, Constants
from admission.planning.memory.engine.arguments import EngineArguments
from admission.planning.memory.estimate import GIB
from serve.models.catalogue import find_config

_FILE = Path(__file__).parent / "data" / "kv_cases.csv"
_NO_CARD = Gpu("not given", 0.0, 8.6)


@dataclass(frozen=True, slots=True)
class Case:
    """One row; `figures` are its columns as text."""

    id: str
    figures: dict[str, str]

    def number(self, column: str) -> float | None:
        """A column as a number; None where it is blank."""
        return float(self.figures[column]) if self.figures[column] else None

    def count(self, column: str) -> int | None:
        """A column as a whole number; None where it is blank."""
        value = self.number(column)
        return None if value is None else int(value)

    def plan(
        self,
        *,
        available_gib: float | None = None,
        changes: Mapping[str, Any] | None = None,
        constants: Constants = MEASURED,
    ) -> MemoryPlan:
        """The model's plan of this row's engine; ValueError where a needed column is blank."""
        if not self.figures["config"]:
            raise ValueError("the row does not say which model")
        if available_gib is None and not self.figures["gpu"]:
            raise ValueError("the row does not say which GPU")
        if not self.figures["tp"]:
            raise ValueError("the row does not say TP")
        gpu = find_gpu(self.figures["gpu"]) if self.figures["gpu"] else _NO_CARD
        arguments = dataclasses.replace(self._arguments(), **(changes or {}))
        available = None if available_gib is None else available_gib * GIB
        return plan_memory(
            self._config(), gpu, arguments, available_kv_bytes=available, constants=constants
        )

    def _config(self) -> Mapping[str, Any]:
        """The model by its own name, since an ending says its format, else by the row's base."""
        try:
            return find_config(self.figures["model"])
        except ValueError:
            return find_config(self.figures["config"])

    @property
    def states_what_decides(self) -> bool:
        """Whether model, card, TP, utilization and release are all in the row.

        Without one of them no start can be predicted; the model then takes defaults and guesses.
        """
        needed = ("config", "gpu", "tp", "gpu_memory_utilization", "vllm_version")
        return all(self.figures[column] for column in needed)

    def _arguments(self) -> EngineArguments:
        text = self.figures
        return EngineArguments(
            tensor_parallel_size=self.count("tp") or 1,
            pipeline_parallel_size=self.count("pp") or 1,
            gpu_memory_utilization=self.number("gpu_memory_utilization"),
            max_model_len=self.count("max_model_len"),
            max_num_seqs=self.count("max_num_seqs"),
            max_num_batched_tokens=self.count("max_num_batched_tokens"),
            block_size=self.count("block_size"),
            quantization=text["quantization"] or None,
            dtype=text["dtype"] or "auto",
            kv_cache_dtype=text["kv_cache_dtype"] or "auto",
            vllm_version=text["vllm_version"] or None,
        )

    @property
    def logged_tokens(self) -> float | None:
        """The token line, else blocks x block size."""
        tokens, blocks = self.number("kv_tokens"), self.number("gpu_blocks")
        if tokens is None and blocks is not None:
            return blocks * (self.number("block_size") or 16)
        return tokens


@dataclass(frozen=True, slots=True)
class Error:
    """`ratio` = predicted / logged - 1 of KV tokens (of KV bytes where no tokens are logged)."""

    case: Case
    layout_class: str
    ratio: float
    inside: bool  # the logged value lies in the predicted range


def cases() -> list[Case]:
    """All rows, in the file's order."""
    with _FILE.open(encoding="utf-8", newline="") as lines:
        return [Case(row["id"], row) for row in csv.DictReader(lines)]


def error_given_memory(case: Case) -> Error | None:
    """Tokens from the logged available memory; None where either is blank."""
    available, logged = case.number("available_kv_gib_per_gpu"), case.logged_tokens
    if available is None or not logged or available <= 0:
        return None
    plan = case.plan(available_gib=available)
    ratio = plan.expected.printed_tokens / logged - 1
    return Error(case, plan.model.layout_class, ratio, abs(ratio) < 0.001)


def error_from_scratch(case: Case, constants: Constants = MEASURED) -> Error | None:
    """Tokens (else bytes) from model, card and arguments alone; None where nothing is logged."""
    logged, available = case.logged_tokens, case.number("available_kv_gib_per_gpu")
    if not logged and (available is None or available <= 0):
        return None
    plan = case.plan(constants=constants)
    known = plan.capacity_tokens if logged else plan.budget.kv.times(1 / GIB)
    value = logged or available or 0.0
    return Error(
        case,
        plan.model.layout_class,
        known.expected / value - 1,
        known.low * 0.999 <= value <= known.high * 1.001,
    )


@dataclass(frozen=True, slots=True)
class Summary:
    """Errors in per cent, by absolute value."""

    rows: int
    median: float
    p90: float
    worst: float
    inside: float  # share of rows whose logged value lies in the range


def summary(errors: Iterable[Error]) -> Summary:
    """Median, 90th percentile and worst of |error|."""
    kept = list(errors)
    sizes = np.array([abs(e.ratio) * 100 for e in kept])
    return Summary(
        len(kept),
        float(np.median(sizes)),
        float(np.percentile(sizes, 90)),
        float(sizes.max()),
        sum(e.inside for e in kept) / len(kept),
    )
