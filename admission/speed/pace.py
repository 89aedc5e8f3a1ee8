"""How fast the engine runs: seconds per step of the ledger's clock and per prompt token."""

from admission.speed.linear_steps import StepCoefficients

_RECORD_CAP_S = 30.0  # a longer gap is a stalled process, not a step


class _Rate:
    """Seconds per unit, a ratio of two fading sums: by volume, so that large steps count most."""

    def __init__(self, *, half_life: float, enough: float) -> None:
        self._half_life = half_life  # units over which what was measured loses half its weight
        self._enough = enough  # with fewer units measured there is no value
        self._seconds = 0.0
        self._units = 0.0

    def add(self, seconds: float, units: float) -> None:
        kept = 0.5 ** (units / self._half_life)
        self._seconds = self._seconds * kept + seconds
        self._units = self._units * kept + units

    @property
    def value(self) -> float | None:
        return self._seconds / self._units if self._units >= self._enough else None


class Pace:
    """Running estimates; None until there is enough evidence to refuse a request by."""

    def __init__(self) -> None:
        # whatever else the engine does meanwhile: this is what a waiting request waits for
        self._per_step = _Rate(half_life=40, enough=8)
        # steps without prompts: what decoding alone takes
        self._per_decode_step = _Rate(half_life=20, enough=1)
        # less is a few small steps, mostly overhead, that would be extrapolated
        self._per_prompt_token = _Rate(half_life=16_384, enough=2048)
        self._line: StepCoefficients | None = None

    @property
    def step_s(self) -> float | None:
        """Seconds in which a running sequence gains one token, prompts between included."""
        return self._per_step.value

    @property
    def prefill_s_per_token(self) -> float | None:
        """Seconds that one prompt token adds to the step it is computed in, as measured."""
        return self._per_prompt_token.value

    def observe(
        self, *, elapsed_s: float, steps: float, prefill_tokens: int, decode_tokens: int
    ) -> None:
        """One engine step, by which the ledger's clock moved `steps`."""
        if not 0 < elapsed_s < _RECORD_CAP_S:
            return
        if decode_tokens:  # a step that only computes prompts keeps no running sequence waiting
            gained = steps or 1.0  # every sequence that gained a token ended with it
            self._per_step.add(elapsed_s, gained)
            if not prefill_tokens:
                self._per_decode_step.add(elapsed_s, gained)
        if prefill_tokens:
            decoding_s = (self._per_decode_step.value or 0.0) if decode_tokens else 0.0
            self._per_prompt_token.add(max(0.0, elapsed_s - decoding_s), prefill_tokens)

    def learn(self, line: StepCoefficients) -> None:
        """Use this linear form of step times from now on."""
        self._line = line

    @property
    def prefill_token_s(self) -> float | None:
        """Seconds per prompt token by the linear form, else as measured."""
        if self._line is None:
            return self.prefill_s_per_token
        return self._line.prefill_token_s

    def decode_step_s(self, sequences: int, context_tokens: int) -> float | None:
        """Seconds of a step that computes no prompts; None while unknown."""
        if self._line is None:
            return self._per_decode_step.value
        return self._line.seconds(
            prefill_tokens=0, decode_sequences=sequences, context_tokens=context_tokens
        )

    def step_with_s(
        self, *, prefill_tokens: int, sequences: int, context_tokens: int
    ) -> float | None:
        """Seconds of a step with these contents; None while unknown."""
        decode_s = self.decode_step_s(sequences, context_tokens)
        if not prefill_tokens or decode_s is None:
            return decode_s
        token_s = self.prefill_token_s
        return None if token_s is None else decode_s + prefill_tokens * token_s

    def steps_s(self, steps: float) -> float:
        """Seconds of `steps` decode steps; 0 while unknown (the deadline still holds)."""
        return steps * (self.step_s or 0.0)

    def prefill_s(self, tokens: int) -> float:
        """Seconds to compute `tokens` of prompts; 0 while unknown."""
        return tokens * (self.prefill_token_s or 0.0)
