"""LightLLM's admission: a moving average of output lengths, and the peak that it predicts.

The constants are those of its router in 2026: the average starts at 2,048 tokens, a sample has
weight one half at first and 4 % in the end, answers count as at least 64 tokens, and a running
request is assumed to produce a tenth more than it has. The peak is that of the Past-Future
scheduler (Gong et al., ASPLOS 2025, arXiv 2507.10150). With requests sorted by remaining length,
longest first, the first k hold, when the k-th ends, what they hold now plus k times what the k-th
still produces.
"""

from collections.abc import Iterable

from loadtests.lab.playing.fifo import Inside
from loadtests.lab.playing.workload import TraceRequest
from serve.engine_step import EngineStep

_START_TOKENS, _LEAST_TOKENS = 2048.0, 64
_FIRST_WEIGHT, _LAST_WEIGHT, _WEIGHT_DECAY = 0.5, 0.04, 0.8
_GROWN = 1.1


def peak_tokens(requests: Iterable[tuple[int, int]]) -> int:
    """The most KV tokens at any future step; each request is (held now, still to produce)."""
    held_tokens = peak = 0
    ordered = sorted(requests, key=lambda each: -each[1])
    for count, (held, remaining) in enumerate(ordered, 1):
        held_tokens += held
        peak = max(peak, held_tokens + count * remaining)
    return peak


class Ema:
    """Accepts a request if the predicted peak stays within the cache and prompts within a bound.

    LightLLM also bounds the prompt tokens of a batch; the bound used here is the gateway's.
    """

    def __init__(self, *, capacity_tokens: int, prefill_tokens: int) -> None:
        self._capacity_tokens = capacity_tokens
        self._prefill_tokens = prefill_tokens
        self._average = _START_TOKENS
        self._weight = _FIRST_WEIGHT

    def fits(self, request: TraceRequest, inside: Inside) -> bool:
        """Whether the peak with this request fits; an idle engine takes whatever it can hold."""
        if not inside.requests:
            return True
        ahead = inside.prompt_tokens_to_compute
        if ahead and ahead + request.prompt_tokens > self._prefill_tokens:
            return False
        # all running requests, and the new one
        parts = [
            self._part(each, inside.generated.get(key, 0)) for key, each in inside.requests.items()
        ]
        return peak_tokens([*parts, self._part(request, 0)]) < self._capacity_tokens

    def _part(self, request: TraceRequest, generated: int) -> tuple[int, int]:
        total = min(request.max_tokens, max(int(_GROWN * generated), int(self._average)))
        return request.prompt_tokens + generated, max(1, total - generated)

    def note(self, step: EngineStep, inside: Inside) -> None:  # noqa: ARG002 - the protocol's
        """Updates the average with every answer that ended."""
        for finished in step.finished:
            length = max(_LEAST_TOKENS, finished.output_tokens)
            self._average += self._weight * (length - self._average)
            self._weight = max(_LAST_WEIGHT, self._weight * _WEIGHT_DECAY)
