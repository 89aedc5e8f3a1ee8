"""A threshold on the KV use that the engine reports, and one on prompts not yet computed.

What routers in the field go by: the cache as it is now, not what those inside will still need.
"""

from loadtests.lab.playing.fifo import Inside
from loadtests.lab.playing.workload import TraceRequest
from serve.engine_step import EngineStep

USED_RATIO = 0.85  # the field's usual mark


class KvThreshold:
    """Lets in while the cache is less full than `used_ratio`."""

    def __init__(self, *, prefill_tokens: int, used_ratio: float = USED_RATIO) -> None:
        self._prefill_tokens = prefill_tokens
        self._used_ratio = used_ratio

    def fits(self, request: TraceRequest, inside: Inside) -> bool:
        """Both limits; a prompt above the second goes in when nothing else is being computed."""
        if inside.kv_used_ratio >= self._used_ratio:
            return False
        ahead = inside.prompt_tokens_to_compute
        return not ahead or ahead + request.prompt_tokens <= self._prefill_tokens

    def note(self, step: EngineStep, inside: Inside) -> None:
        """The last step's use of the cache is read from `inside`."""
