"""How fast the engine runs: every step teaches it, every forecast of time asks it."""

from admission.speed.linear_steps import StepCoefficients
from admission.speed.live_steps import LiveSteps
from admission.speed.pace import Pace
from admission.speed.step_fit import TimedStep
from admission.speed.step_outliers import StepOutliers


class EngineSpeed:
    """Two learners for two questions; `outliers` teach neither.

    `steps` learns what a step takes by its contents, `pace` what passes between two tokens of a
    sequence whatever else the engine computes meanwhile. Until there are coefficients, rates of
    `pace` stand in for them.
    """

    def __init__(self) -> None:
        self.pace = Pace()
        self.steps = LiveSteps()
        self.outliers = StepOutliers()
        self.surprised = False  # by the last step: forecasts made before it say nothing

    @property
    def coefficients(self) -> StepCoefficients | None:
        """Of a step, as believed now."""
        return self.steps.coefficients

    # -- learning --------------------------------------------------------------------------

    def begin_with(self, prior: StepCoefficients) -> None:
        """Start, or start anew, from coefficients of some other source."""
        self.steps.begin_with(prior)

    def observe(self, step: TimedStep, *, clock_steps: float, now_s: float) -> bool:
        """One step, by which the ledger's clock moved `clock_steps`; False: it is an outlier."""
        self.surprised = False
        expected_s = self.step_s(
            prefill_tokens=step.prefill_tokens,
            sequences=step.decode_sequences,
            context_tokens=step.context_tokens,
        )
        if self.outliers.note(step.elapsed_s, expected_s, now_s):
            return False
        slower_ratio, known = self.outliers.slower_ratio, self.coefficients
        if slower_ratio is not None and known is not None:
            self.begin_with(known.times(slower_ratio))
        self.pace.observe(
            elapsed_s=step.elapsed_s,
            steps=clock_steps,
            prefill_tokens=step.prefill_tokens,
            decode_tokens=step.decode_sequences,
        )
        self.surprised = self.steps.observe(step) and self.steps.surprised
        return True

    # -- forecasts -------------------------------------------------------------------------

    @property
    def prefill_token_s(self) -> float | None:
        """Seconds that a prompt token adds to its step; None while unknown."""
        line = self.coefficients
        return self.pace.prefill_s_per_token if line is None else line.prefill_token_s

    def decode_step_s(self, sequences: int, context_tokens: int) -> float | None:
        """Seconds of a step that computes no prompts; None while unknown."""
        line = self.coefficients
        if line is None:
            return self.pace.decode_step_s
        return line.seconds(
            prefill_tokens=0, decode_sequences=sequences, context_tokens=context_tokens
        )

    def step_s(self, *, prefill_tokens: int, sequences: int, context_tokens: int) -> float | None:
        """Seconds of a step with these contents; None while unknown."""
        decode_s = self.decode_step_s(sequences, context_tokens)
        if not prefill_tokens or decode_s is None:
            return decode_s
        token_s = self.prefill_token_s
        return None if token_s is None else decode_s + prefill_tokens * token_s

    def prefill_s(self, tokens: int) -> float:
        """Seconds to compute `tokens` of prompts; 0 while unknown."""
        return tokens * (self.prefill_token_s or 0.0)

    def waiting_s(self, steps: float) -> float:
        """Seconds of `steps` by the pace; 0 while unknown (the deadline still holds)."""
        return steps * (self.pace.step_s or 0.0)
