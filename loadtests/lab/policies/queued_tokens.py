"""vLLM's own `max_num_queued_tokens`: refuses while too many prompt tokens are uncomputed.

It counts as vLLM 0.32 does (`AsyncLLM`, front end): whole prompts of all requests without a first
token, without the new request.
"""

from loadtests.lab.playing.fifo import Inside
from loadtests.lab.playing.workload import TraceRequest
from serve.engine_step import EngineStep


class QueuedTokens:
    """Refuses at once; use it with a queue whose `patience_s` is 0."""

    def __init__(self, limit_tokens: int) -> None:
        self._limit_tokens = limit_tokens

    def fits(self, request: TraceRequest, inside: Inside) -> bool:  # noqa: ARG002 - the protocol's
        """Whether the prompt tokens not yet computed are fewer than the limit."""
        return inside.prompt_tokens_to_compute < self._limit_tokens

    def note(self, step: EngineStep, inside: Inside) -> None:
        """Does nothing: `inside` has the count."""
