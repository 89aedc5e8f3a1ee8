"""What letting a prompt in now does: its own TTFT, and the TPOT of running sequences.

The engine starts every prompt at once, in chunks that fill its steps, so prompts are paced by the
time at which they are let in.
"""

from admission.gates.first_token import FirstTokens
from admission.gates.slack import PARTS, Slack, StepCosts
from admission.ledger.ledger import Ledger
from admission.price.footprint import Price
from admission.speed.engine_speed import EngineSpeed
from admission.terms.settings import Settings

_KEPT_RATIO = 0.1  # of the time that decoding leaves under the TPOT bound: steps may take longer
_GRAIN = 10  # parts of the bound, so that the plan does not follow every step
_LOSS_MAX = 0.8 / PARTS  # answers that one prompt may be expected to cost: none of its lengths
_LOSS_PRESSED = 0.1  # more of them for each whole of its time that it has waited beyond this share
_PRESSED_AT_RATIO = 0.3
_PREFILL_LEAST = 0.1  # of the time: what a full engine is assumed to leave for prompts
_STEPS_ON_THE_WAY = 1  # the step that runs when a request arrives is without it


class Timing:
    """Reads one ledger and the speed of its engine; knows nothing while that is unknown."""

    def __init__(
        self, ledger: Ledger, speed: EngineSpeed, slack: Slack, settings: Settings
    ) -> None:
        self.first_tokens = FirstTokens()
        self._ledger = ledger
        self._speed = speed
        self._slack = slack
        self._step_began_at_s = 0.0
        self.reconfigure(settings)

    def reconfigure(self, settings: Settings) -> None:
        """Another bound from now on."""
        self._bound_s = settings.tpot_target_s

    def step_begins(self, now_s: float) -> None:
        """The engine begins a step: one ended, or a first request comes to an idle engine."""
        self._step_began_at_s = now_s

    def decode_step_s(self, sequences: int = 0, prompt_tokens: int = 0) -> float:
        """Seconds of a step that only decodes, with these in addition; 0 while unknown."""
        ledger = self._ledger
        read_tokens = ledger.curve.blocks_now() * ledger.engine.block_tokens
        read_tokens += ledger.read_again_tokens + prompt_tokens
        step_s = self._speed.decode_step_s(ledger.sequences + sequences, read_tokens)
        return step_s or 0.0

    def first_token_s(self, prefill_tokens: int, now_s: float) -> float:
        """Seconds until the first token of a prompt that is let in now, behind those ahead.

        `Headroom.wait` is another forecast: of the time until it is let in.
        """
        steps = self._ledger.computing_steps(prefill_tokens) + _STEPS_ON_THE_WAY
        step_s = self.decode_step_s()
        computing_s = self._speed.prefill_s(self._ledger.backlog_tokens + prefill_tokens)
        return steps * step_s + computing_s - self._over_s(step_s, now_s)

    def _over_s(self, decode_step_s: float, now_s: float) -> float:
        """Seconds by which the step that runs is over; its prompts still count as ahead."""
        ledger = self._ledger
        if not ledger.sequences:
            return 0.0
        computed_tokens = min(ledger.backlog_tokens, ledger.room_tokens())
        step_s = decode_step_s + self._speed.prefill_s(computed_tokens)
        return min(step_s, now_s - self._step_began_at_s)

    def first_token_at_most_s(self, prefill_tokens: int, now_s: float) -> float:
        """`first_token_s` with a margin for recent forecast errors; none on an idle engine."""
        margin_s = self.first_tokens.margin_s if self._ledger.sequences else 0.0
        return self.first_token_s(prefill_tokens, now_s) + margin_s

    def paced_s(self, prefill_tokens: int) -> float:
        """Seconds to compute `prefill_tokens` with every running sequence at its bound."""
        if self._bound_s is None:
            return self._speed.prefill_s(prefill_tokens)
        decode_step_s = self.decode_step_s()
        planned_s = _planned_s(self._bound_s, decode_step_s)
        left_ratio = max(_PREFILL_LEAST, 1.0 - decode_step_s / planned_s)
        return self._speed.prefill_s(prefill_tokens) / left_ratio

    def keeps_tpot(self, priced: Price, waited_ratio: float = 0.0) -> bool:
        """Whether running sequences keep their TPOT bound with this request beside them.

        A request that has used much of its time to the deadline may cost them a little more.
        """
        ledger, bound_s = self._ledger, self._bound_s
        prefill_token_s = self._speed.prefill_token_s
        if bound_s is None or not prefill_token_s:
            return True
        decode_step_s = self.decode_step_s(priced.sequences, priced.prompt_tokens)
        planned_s = _planned_s(bound_s, decode_step_s)
        if decode_step_s > planned_s:
            return False
        steps = StepCosts(
            decode_step_s,
            prefill_token_s,
            room_tokens=ledger.room_tokens(priced.sequences),
            backlog_tokens=ledger.backlog_tokens,
        )
        lost = self._slack.lost_by(
            priced.prefill_tokens, steps, planned_s=planned_s, bound_s=bound_s
        )
        return lost <= _LOSS_MAX + _LOSS_PRESSED * max(0.0, waited_ratio - _PRESSED_AT_RATIO)


def _planned_s(bound_s: float, decode_step_s: float) -> float:
    """Seconds a token that are planned with, so that the bound is kept.

    What is kept back is of the time that decoding leaves: an engine that decodes at nine tenths of
    the bound has room for newcomers still.
    """
    decoding = min(_GRAIN - 1, int(_GRAIN * decode_step_s / bound_s)) / _GRAIN
    return bound_s * (1.0 - _KEPT_RATIO * (1.0 - decoding))
