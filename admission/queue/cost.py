"""What a request costs in seconds of the engine's time: the currency in which tenants are served.

    cost = c_p x prompt + c_d x o + (c_k + c_0 / M) x sum of what it holds at each of its o steps

with the coefficients of a step (`admission.speed.linear_steps`) and M tokens of KV cache: its fixed
part is paid for by the share of the cache that one keeps from others. Until the coefficients are
known, a generated token counts as two prompt tokens (VTC's w_q / w_p), at the measured time of one.
"""

from admission.price.footprint import EngineShape, Work
from admission.speed.linear_steps import StepCoefficients
from admission.speed.pace import Pace

_OUTPUT_WEIGHT = 2
_PROMPT_TOKEN_S = 1e-4  # before anything is measured: too little rather than too much to catch up


class EngineCost:
    """Prices work in seconds; the unit is the same whatever is known of the engine."""

    def __init__(self, engine: EngineShape, pace: Pace) -> None:
        self._engine = engine
        self._pace = pace
        self._coefficients: StepCoefficients | None = None
        self._block_step_s = 0.0

    @property
    def measured(self) -> bool:
        """Whether the coefficients of a step are known."""
        return self._coefficients is not None

    def learn(self, coefficients: StepCoefficients) -> None:
        """Use these from now on; those that make prompts cost nothing are not believed."""
        if coefficients.prefill_token_s > 0:
            self._coefficients = coefficients
            share_s = coefficients.fixed_s / self._engine.capacity_tokens
            self._block_step_s = self._engine.block_tokens * (
                coefficients.context_token_s + share_s
            )

    def seconds(self, work: Work) -> float:
        """Seconds of the engine's time that this work takes."""
        step = self._coefficients
        if step is None:
            token_s = self._pace.prefill_s_per_token or _PROMPT_TOKEN_S
            return token_s * (work.prefill_tokens + _OUTPUT_WEIGHT * work.sequence_steps)
        return (
            step.prefill_token_s * work.prefill_tokens
            + step.decode_sequence_s * work.sequence_steps
            + self._block_step_s * work.area_block_steps
        )
