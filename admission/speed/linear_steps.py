"""Step times as a linear form, and an engine whose step times were measured as one.

seconds = fixed + per decode x sequences + per prefill x tokens + per context x tokens
"""

from dataclasses import astuple, dataclass

from admission.speed.step import StepContents, StepTime


@dataclass(frozen=True, slots=True)
class StepCoefficients:
    """The linear form, in seconds and seconds per token or sequence; none is negative."""

    fixed_s: float
    prefill_token_s: float
    decode_sequence_s: float
    context_token_s: float

    def times(self, factor: float) -> "StepCoefficients":
        """Coefficients of an engine whose every step takes `factor` times as long."""
        return StepCoefficients(*(factor * each for each in astuple(self)))

    def seconds(
        self, *, prefill_tokens: float, decode_sequences: float, context_tokens: float
    ) -> float:
        """Seconds of one step."""
        return (
            self.fixed_s
            + self.prefill_token_s * prefill_tokens
            + self.decode_sequence_s * decode_sequences
            + self.context_token_s * context_tokens
        )


@dataclass(frozen=True, slots=True)
class MeasuredSteps:
    """`Steps` of a measured engine; all-reduces are not separated from the rest."""

    coefficients: StepCoefficients
    stages: int = 1

    def step(self, contents: StepContents) -> StepTime:
        """Seconds by part: fixed and per sequence is overhead."""
        line = self.coefficients
        context = contents.decode_context_tokens + contents.prefill_context_tokens
        kv_s = line.context_token_s * context
        compute_s = line.prefill_token_s * contents.prefill_tokens
        overhead_s = line.fixed_s + line.decode_sequence_s * contents.decode_sequences
        return StepTime(0.0, kv_s, compute_s, 0.0, overhead_s, kv_s + compute_s + overhead_s)
