"""How fast the engine runs: seconds per decode step and per prefill token, from its step records."""

_GAIN = 0.05  # weight of a new sample: about the last 20 steps
_RECORD_CAP_S = 30.0  # a longer gap is a stalled process, not a step


class Pace:
    """Exponentially weighted step times; None until something was measured."""

    def __init__(self) -> None:
        self.step_s: float | None = None
        self.prefill_s_per_token: float | None = None

    def observe(self, *, elapsed_s: float, prefill_tokens: int, decode_tokens: int) -> None:
        """One engine step; steps with prefill teach what a prompt token costs beyond decoding."""
        if not 0 < elapsed_s < _RECORD_CAP_S:
            return
        if prefill_tokens == 0:
            if decode_tokens:
                self.step_s = _mixed(self.step_s, elapsed_s)
            return
        beyond = elapsed_s - (self.step_s or 0.0) if decode_tokens else elapsed_s
        if beyond > 0:
            self.prefill_s_per_token = _mixed(self.prefill_s_per_token, beyond / prefill_tokens)

    def steps_s(self, steps: float) -> float:
        """Seconds that so many decode steps take; 0 while unknown (the deadline still holds)."""
        return steps * (self.step_s or 0.0)

    def prefill_s(self, tokens: int) -> float:
        """Seconds to compute so many prompt tokens; 0 while unknown."""
        return tokens * (self.prefill_s_per_token or 0.0)


def _mixed(old: float | None, new: float) -> float:
    return new if old is None else old + _GAIN * (new - old)
