"""LightLLM's admission: one moving average of output lengths, and the peak that follows from it.

Constants of its router at 2026: the average begins at 2,048 tokens, a sample weighs half at first
and 4 % in the end, answers count as 64 tokens at least, and a request that runs is taken to produce
a tenth more than it has. The peak is that of the Past-Future scheduler (Gong et al., ASPLOS 2025,
arXiv 2507.10150): with requests by remaining length, longest first, when the k-th ends the first k
hold what they hold now and k times what it still produces.
"""

from collections.abc import Iterable

from loadtests.lab.playing.fifo import Inside
from loadtests.lab.playing.workload import TraceRequest
from serve.engine_step import EngineStep

_START_TOKENS, _LEAST_TOKENS = 2048.0, 64
_FIRST_WEIGHT, _LAST_WEIGHT, _WEIGHT_DECAY = 0.5, 0.04, 0.8
_GROWN = 1.1


def peak_tokens(requests: Iterable[tuple[int, int]]) -> int:
    """Most KV tokens at any step to come, of (held now, still to produce) by request."""
    held_tokens = peak = 0
    ordered = sorted(requests, key=lambda each: -each[1])
    for count, (held, remaining) in enumerate(ordered, 1):
        held_tokens += held
        peak = max(peak, held_tokens + count * remaining)
    return peak


class Ema:
    """Lets in what keeps the predicted peak inside the cache, and prompts inside their bound.

    LightLLM has the batch's prompt tokens bounded too; the bound here is the gateway's own.
    """

    def __init__(self, *, capacity_tokens: int, prefill_tokens: int) -> None:
        self._capacity_tokens = capacity_tokens
        self._prefill_tokens = prefill_tokens
        self._average = _START_TOKENS
        self._weight = _FIRST_WEIGHT

    def fits(self, request: TraceRequest, inside: Inside) -> bool:
        """Whether the peak with this one fits; an idle engine takes whatever it can."""
        if not inside.requests:
            return True
        ahead = inside.prompt_tokens_to_compute
        if ahead and ahead + request.prompt_tokens > self._prefill_tokens:
            return False
        # all that run, and the newcomer
        parts = [
            self._part(each, inside.generated.get(key, 0)) for key, each in inside.requests.items()
        ]
        return peak_tokens([*parts, self._part(request, 0)]) < self._capacity_tokens

    def _part(self, request: TraceRequest, generated: int) -> tuple[int, int]:
        total = min(request.max_tokens, max(int(_GROWN * generated), int(self._average)))
        return request.prompt_tokens + generated, max(1, total - generated)

    def note(self, step: EngineStep, inside: Inside) -> None:  # noqa: ARG002 - the protocol's
        """Every answer that ended moves the average."""
        for finished in step.finished:
            length = max(_LEAST_TOKENS, finished.output_tokens)
            self._average += self._weight * (length - self._average)
            self._weight = max(_LAST_WEIGHT, self._weight * _WEIGHT_DECAY)
