"""What one engine step computes, and how long it takes by part."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class StepContents:
    """What one step computes.

    `decode_context_tokens` is the sum over the decoding sequences of what each attends to (a
    prefix that the engine reads once for all of them counts once). `prefill_context_tokens` is the
    sum over the `prefill_chunks` of what was computed before each; chunks are taken as equal.
    """

    decode_sequences: int = 0
    decode_context_tokens: int = 0
    prefill_tokens: int = 0
    prefill_context_tokens: int = 0
    prefill_chunks: int = 1


@dataclass(frozen=True, slots=True)
class StepTime:
    """Seconds of one step by cause; they add up to `total_s`.

    `compute_s` is what arithmetic takes beyond the reading of the weights it overlaps with, prompt
    attention included. `all_reduce_s` includes the gathering of logits and, with stages, handing
    activations on. With pipeline stages it is one batch's way through all of them.
    """

    weights_s: float
    kv_s: float
    compute_s: float
    all_reduce_s: float
    overhead_s: float
    total_s: float

    @property
    def all_reduce_ratio(self) -> float:
        """Share of the step spent between GPUs."""
        return self.all_reduce_s / self.total_s

    @property
    def binding(self) -> str:
        """The largest part: weights, kv, compute, all_reduce or overhead."""
        parts = ("weights", "kv", "compute", "all_reduce", "overhead")
        return max(parts, key=lambda part: float(getattr(self, f"{part}_s")))


class Steps(Protocol):
    """Step times of one engine, modelled or measured."""

    @property
    def stages(self) -> int:
        """Pipeline stages, each with a batch of its own."""
        ...

    def step(self, contents: StepContents) -> StepTime:
        """Seconds of a step by part."""
        ...
