"""The options of the simulated executor: plain values in vLLM's `additional_config`."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from admission.planning.gpus import Link, Speeds
from admission.planning.linear_form import linear_form
from admission.planning.step_model import ComputeShape, Deployment, StepModel, Weights
from admission.speed.linear_steps import MeasuredSteps, StepCoefficients
from admission.speed.step import StepContents, Steps
from serve.simulated.answers import Lengths

KEY = "simulation"  # of `additional_config`


@dataclass(frozen=True, slots=True)
class Options:
    """How fast, how long, and by which step times."""

    speed: float
    seed: int
    lengths: Lengths
    step_time: StepCoefficients | Deployment

    def line(self, *, batched_tokens: int, most_sequences: int) -> StepCoefficients:
        """The step times as a linear form: measured, or nearest to the modelled ones."""
        if isinstance(self.step_time, StepCoefficients):
            return self.step_time
        model = StepModel(self.step_time)
        fit = linear_form(model, batched_tokens=batched_tokens, most_sequences=most_sequences)
        return fit.coefficients

    def as_json(self) -> dict[str, Any]:
        """Plain values: vLLM hashes them and hands them to another process."""
        return asdict(self)


def from_json(given: Mapping[str, Any]) -> Options:
    """The options that `as_json` wrote."""
    return Options(
        speed=given["speed"],
        seed=given["seed"],
        lengths=Lengths(**given["lengths"]),
        step_time=_step_time(given["step_time"]),
    )


def _step_time(given: Mapping[str, Any]) -> StepCoefficients | Deployment:
    if "shape" not in given:
        return StepCoefficients(**given)
    gpu, link = given["gpu"], given["link"]
    return Deployment(
        **{
            **given,
            "shape": ComputeShape(**given["shape"]),
            "gpu": Speeds(**{**gpu, "link": Link(gpu["link"])}),
            "weights": Weights(given["weights"]),
            "link": None if link is None else Link(link),
        }
    )


def seconds_of(step_time: StepCoefficients | Deployment) -> Callable[[StepContents], float]:
    """Modelled seconds of a step by its contents."""
    model: Steps = (
        StepModel(step_time) if isinstance(step_time, Deployment) else MeasuredSteps(step_time)
    )
    return lambda contents: model.step(contents).total_s
