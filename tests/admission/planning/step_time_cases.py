"""Measured step times of others, and the same steps modelled.

`use` in the file: `fitted` rows carry a constant, `sound` rows test it, `doubtful` rows lack
something a model needs (the note says what). Some of the doubts arose only when the error was
seen, so the median of the sound rows alone flatters; the report prints that of all rows too.
"""

import csv
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from admission.planning.gpus import Speeds, find_gpu
from admission.planning.step_limits import Mix, prefill_s, steady
from admission.planning.step_model import ComputeShape, Deployment, StepModel, Weights
from admission.speed.step import StepContents

FILE = Path(__file__).parent / "data" / "step_time_cases.csv"

# By config.json: layers, hidden, heads, KV heads, head size, intermediate, vocabulary.
SHAPES = {
    "Qwen2.5-1.5B": ComputeShape(28, 1536, 12, 2, 128, 8960, 151936),
    "Qwen2.5-14B": ComputeShape(48, 5120, 40, 8, 128, 13824, 152064),
    "Qwen2.5-32B": ComputeShape(64, 5120, 40, 8, 128, 27648, 152064),
    "Qwen3-8B": ComputeShape(36, 4096, 32, 8, 128, 12288, 151936),
    "Qwen3-32B": ComputeShape(64, 5120, 64, 8, 128, 25600, 151936),
    "Qwen3-30B-A3B": ComputeShape(48, 2048, 32, 4, 128, 768, 151936, 128, 8),
    "Qwen3.6-27B": ComputeShape(64, 5120, 24, 4, 256, 17408, 248320, kv_layers=16),
    "Yi-34B": ComputeShape(60, 7168, 56, 8, 128, 20480, 64000),
}

CHAT = Mix(prompt_tokens=1000, output_tokens=300)


def engine(ranks: int = 4, stages: int = 1) -> StepModel:
    """Qwen3-32B INT4 on A10s."""
    gpu = speeds_of("A10")
    return StepModel(Deployment(SHAPES["Qwen3-32B"], gpu, Weights.INT4, ranks, stages))


NUMBERS = (
    "sequences",
    "prompt_tokens",
    "cached_tokens",
    "output_tokens",
    "batched_tokens",
    "context_tokens",
)


@dataclass(frozen=True, slots=True)
class Case:
    """One measured row; `modelled_s` is None where the source leaves out what a model needs."""

    name: str
    use: str  # fitted: a constant rests on it; sound: a test; doubtful: see the note
    measured_s: float | None
    modelled_s: float | None
    note: str
    source: str

    @property
    def error_ratio(self) -> float | None:
        """Modelled over measured, less 1; negative = the model is too fast."""
        if self.measured_s is None or self.modelled_s is None:
            return None
        return self.modelled_s / self.measured_s - 1


def cases() -> list[Case]:
    """Every row of the file, bad ones included."""
    with FILE.open(newline="") as file:
        return [_case(row) for row in csv.DictReader(file)]


def speeds_of(card: str) -> Speeds:
    """The speeds of a card that has them."""
    speeds = find_gpu(card).speeds
    assert speeds is not None, card
    return speeds


def median_error(of: Iterable[Case]) -> float:
    """Median of the errors' sizes, of those that have one."""
    return statistics.median(abs(case.error_ratio) for case in of if case.error_ratio is not None)


def _case(row: dict[str, str]) -> Case:
    measured = float(row["measured_s"]) if row["measured_s"] else None
    modelled = _modelled(row) if measured else None
    return Case(row["id"], row["use"], measured, modelled, row["note"], row["source"])


def _modelled(row: dict[str, str]) -> float:
    model = StepModel(
        Deployment(
            SHAPES[row["model"]],
            speeds_of(row["gpu"]),
            Weights(row["weights"]),
            int(row["tensor_parallel"]),
            int(row["pipeline_parallel"]),
            cuda_graphs=not row["eager"],
        )
    )
    number = {name: int(row[name] or 0) for name in NUMBERS}
    sequences, cached = number["sequences"], number["cached_tokens"]
    prompt = number["prompt_tokens"] - cached
    mix = Mix(max(1, prompt), max(1, number["output_tokens"]), number["batched_tokens"])
    match row["kind"]:
        case "decode":
            return model.step(StepContents(sequences, number["context_tokens"])).total_s
        case "mixed":
            chunk = mix.batched_tokens - sequences
            middle = StepContents(sequences, number["context_tokens"], chunk, prompt // 2)
            return model.step(middle).total_s
        case "prompt":
            return sequences * prefill_s(model, mix, cached_tokens=cached)
        case "steady":
            return steady(model, mix, sequences=sequences).tpot_s
    raise ValueError(row["kind"])
