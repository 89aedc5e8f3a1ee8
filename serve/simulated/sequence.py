"""One unfinished request of the stepped engine, as a front end knows it."""

from serve.engine_step import Finished
from serve.simulated.requests import EngineRequest

WORD, END = 0, 1  # the only tokens there are


class Sequence:
    """As `serve.engine_step.RunningState` reads it; instants are virtual."""

    __slots__ = (
        "added_at_s",
        "begun_at_s",
        "external_req_id",
        "first_at_s",
        "last_at_s",
        "length_tokens",
        "max_tokens",
        "num_generation_tokens",
        "num_preemptions",
        "ordered_tokens",
        "request_index",
        "stats",
    )

    def __init__(self, request: EngineRequest, now_s: float) -> None:
        self.external_req_id = request.engine_id
        self.request_index = 0
        self.stats = self
        self.length_tokens = max(1, request.output_tokens)
        self.max_tokens = request.max_tokens
        self.added_at_s = now_s
        self.begun_at_s = self.first_at_s = self.last_at_s = -1.0  # until it is
        self.ordered_tokens = 0  # of steps that have begun
        self.num_generation_tokens = 0  # of steps that have ended
        self.num_preemptions = 0

    def next_token(self) -> int:
        """The token of a step that begins now."""
        self.ordered_tokens += 1
        return self.newest_token

    @property
    def newest_token(self) -> int:
        """The token of the step that was ordered last."""
        return END if self.ordered_tokens == self.length_tokens else WORD

    @property
    def tokens_to_order(self) -> int:
        """Tokens still to be ordered, the last one with them."""
        return min(self.length_tokens, self.max_tokens) - self.ordered_tokens

    @property
    def ends_at_limit(self) -> bool:
        """Whether the scheduler knows its end beforehand."""
        return self.length_tokens >= self.max_tokens

    @property
    def reason(self) -> str:
        """Why it ends, as vLLM says it."""
        return "stop" if self.length_tokens <= self.max_tokens else "length"

    def finished(self, reason: str) -> Finished:
        """As the front end reports it."""
        tokens = self.num_generation_tokens
        return Finished(
            engine_id=self.external_req_id,
            output_tokens=tokens,
            reason=reason,
            queued_s=self.begun_at_s - self.added_at_s,
            prefill_s=self.first_at_s - self.begun_at_s,
            tpot_s=(self.last_at_s - self.first_at_s) / max(1, tokens - 1),
            preemptions=self.num_preemptions,
        )
