"""vLLM's own `max_num_queued_tokens`: refuses while too many prompts are still to be computed.

As vLLM 0.32 counts (`AsyncLLM`, front end): whole prompts of all requests without a first token,
and the newcomer is not counted in.
"""

from loadtests.lab.playing.fifo import Inside
from loadtests.lab.playing.workload import TraceRequest
from serve.engine_step import EngineStep


class QueuedTokens:
    """Refuses at once; use it with a line in which nobody may wait."""

    def __init__(self, limit_tokens: int) -> None:
        self._limit_tokens = limit_tokens

    def fits(self, request: TraceRequest, inside: Inside) -> bool:  # noqa: ARG002 - the protocol's
        """Whether fewer prompt tokens than the limit are still to be computed."""
        return inside.prompt_tokens_to_compute < self._limit_tokens

    def note(self, step: EngineStep, inside: Inside) -> None:
        """What is inside says it all."""
