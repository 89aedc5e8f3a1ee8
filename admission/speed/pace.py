"""How fast the engine runs as measured, whatever the contents of its steps: a few fading means."""

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

    @property
    def step_s(self) -> float | None:
        """Seconds in which a running sequence gains one token, prompts between included."""
        return self._per_step.value

    @property
    def decode_step_s(self) -> float | None:
        """Seconds of a step without prompts."""
        return self._per_decode_step.value

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
            decoding_s = (self.decode_step_s or 0.0) if decode_tokens else 0.0
            self._per_prompt_token.add(max(0.0, elapsed_s - decoding_s), prefill_tokens)
