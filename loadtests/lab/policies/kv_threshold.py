"""A threshold on the engine's reported KV use, and one on prompts not yet computed.

Common routers work this way: they look at the cache now, not at what running requests will need.
"""

from loadtests.lab.playing.fifo import Inside
from loadtests.lab.playing.workload import TraceRequest
from serve.engine_step import EngineStep

USED_RATIO = 0.85  # the usual threshold


class KvThreshold:
    """Accepts while less than `used_ratio` of the cache is in use."""

    def __init__(self, *, prefill_tokens: int, used_ratio: float = USED_RATIO) -> None:
        self._prefill_tokens = prefill_tokens
        self._used_ratio = used_ratio

    def fits(self, request: TraceRequest, inside: Inside) -> bool:
        """Both limits; a prompt above the second is accepted if no other is being computed."""
        if inside.kv_used_ratio >= self._used_ratio:
            return False
        ahead = inside.prompt_tokens_to_compute
        return not ahead or ahead + request.prompt_tokens <= self._prefill_tokens

    def note(self, step: EngineStep, inside: Inside) -> None:
        """Does nothing: `inside` holds the last step's use of the cache."""
