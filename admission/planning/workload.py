"""Request lengths: tokens in and tokens out, all alike or spread as in a trace."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from statistics import NormalDist

from admission.planning.sentences import Sentence
from admission.terms.spelling import UnknownNameError

_NORMAL = NormalDist()
_PARTS = 40  # equally likely lengths that represent a trace; enough for a 95th percentile


# Standard deviation of the log of answer lengths without a trace: median 450, p90 1,400 tokens.
ANSWER_SIGMA = 0.884


@dataclass(frozen=True, slots=True)
class Held:
    """Tokens that a running request holds at some moment: their mean and standard deviation."""

    mean_tokens: int
    sd_tokens: float


@dataclass(frozen=True, slots=True)
class Spread:
    """How the requests of a trace differ, as far as the plan's formulas need it.

    A request runs for one step per token of its answer, so *running* requests are weighted by their
    answers (`held_by`). TTFT uses `prompts` and TPOT `answers`: equally likely lengths, each the
    mean of a fortieth of the requests.
    """

    requests: int
    held: Held
    prompts: tuple[int, ...]
    answers: tuple[int, ...]
    longest_tokens: int
    left_out_ratio: float  # of the trace: longer than max_model_len


@dataclass(frozen=True, slots=True)
class Workload:
    """Requests with a mean of `isl_tokens` in and `osl_tokens` out.

    No prefix counts as cached, which errs on the safe side.
    """

    name: str
    isl_tokens: int
    osl_tokens: int
    source: str
    spread: Spread | None = None  # None = all requests alike
    offered_per_s: float | None = None  # arrivals of a trace that has times

    def __post_init__(self) -> None:
        if min(self.isl_tokens, self.osl_tokens) < 1:
            raise ValueError("isl and osl are at least one token each")

    @property
    def total_tokens(self) -> int:
        """Tokens that the mean request holds in the KV cache just before it ends."""
        return self.isl_tokens + self.osl_tokens

    @property
    def held(self) -> Held:
        """Tokens that a running request holds and attends to."""
        if self.spread:
            return self.spread.held
        return held_by([(self.isl_tokens, answer) for answer in self.answers])

    @property
    def prompts(self) -> tuple[int, ...]:
        """Equally likely prompt lengths."""
        return self.spread.prompts if self.spread else (self.isl_tokens,)

    @property
    def answers(self) -> tuple[int, ...]:
        """Equally likely answer lengths; log-normal without a trace: answers are never alike."""
        return self.spread.answers if self.spread else _log_normal(self.osl_tokens)

    @property
    def longest_tokens(self) -> int | None:
        """Tokens of the longest request; None = unknown."""
        return self.spread.longest_tokens if self.spread else None

    def of_length(self, total_tokens: int) -> "Workload":
        """Requests of `total_tokens` with the same answers, at most half; prompts fill the rest."""
        osl = min(self.osl_tokens, total_tokens // 2)
        return replace(self, isl_tokens=total_tokens - osl, osl_tokens=osl, spread=None)


# Means of public traces. They hide the spread; the gateway prices each request by itself.
PRESETS = {
    "chat": Workload("chat", 862, 665, Sentence("source_chat")),
    "rag": Workload("rag", 4096, 512, Sentence("source_rag")),
    "long-context": Workload("long-context", 12_035, 343, Sentence("source_long_context")),
    "code": Workload("code", 2048, 28, Sentence("source_code")),
}


def find_workload(name: str) -> Workload:
    """The preset with that name; ValueError suggests the nearest known name."""
    if name not in PRESETS:
        raise UnknownNameError("workload", name, PRESETS)
    return PRESETS[name]


def from_requests(
    file: str,
    requests: Sequence[tuple[int, int]],
    *,
    max_model_len: int,
    offered_per_s: float | None = None,
    source: Sentence | None = None,
) -> Workload:
    """The workload of a trace's (prompt, output) tokens; requests over max_model_len are left out.

    `source` None = the requests of `file`. ValueError if none is left.
    """
    fitting = [(i, max(1, o)) for i, o in requests if i + max(1, o) <= max_model_len]
    if not fitting:
        raise ValueError(f"{file}: no request fits max_model_len {max_model_len}")
    prompts, answers = sorted(i for i, _ in fitting), sorted(o for _, o in fitting)
    decoded = sum(answers)
    spread = Spread(
        requests=len(fitting),
        held=held_by(fitting),
        prompts=_parts(prompts),
        answers=_parts(answers),
        longest_tokens=max(i + o for i, o in fitting),
        left_out_ratio=1 - len(fitting) / len(requests),
    )
    shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
    lengths = {f"isl_{name}": _quantile(prompts, share) for name, share in shares.items()}
    lengths |= {f"osl_{name}": _quantile(answers, share) for name, share in shares.items()}
    return Workload(
        name=file,
        isl_tokens=max(1, round(sum(prompts) / len(prompts))),
        osl_tokens=max(1, round(decoded / len(answers))),
        source=source or Sentence("source_trace", requests=len(fitting), file=file, **lengths),
        spread=spread,
        offered_per_s=offered_per_s,
    )


def held_by(requests: Sequence[tuple[int, int]]) -> Held:
    """Tokens held by running requests, if all these (prompt i, output o) are equally likely.

    A request runs for o steps, and at a random one it holds i + g tokens, with g uniform in 0 to o.
    Weighted by o, the mean is E[o (i + o/2)] / E[o], and that of the square E[o (i^2 + i o +
    o^2/3)] / E[o].
    """
    steps = sum(o for _, o in requests)
    mean = sum(o * (i + o / 2) for i, o in requests) / steps
    square = sum(o * (i * i + i * o + o * o / 3) for i, o in requests) / steps
    return Held(round(mean), math.sqrt(max(0.0, square - mean * mean)))


@lru_cache(maxsize=64)
def _log_normal(mean_tokens: int) -> tuple[int, ...]:
    """Means of equal parts of log-normal answers with that mean; at least one token each.

    The shortest share p of the answers holds the share Phi(z_p - sigma) of all tokens.
    """
    inner = (_NORMAL.inv_cdf(part / _PARTS) for part in range(1, _PARTS))
    below = [0.0, *(_NORMAL.cdf(z - ANSWER_SIGMA) for z in inner), 1.0]
    means = (mean_tokens * _PARTS * (high - low) for low, high in pairwise(below))
    return tuple(max(1, round(mean)) for mean in means)


def _parts(ordered: Sequence[int]) -> tuple[int, ...]:
    """Means of equal parts of the sorted lengths; at least one token each."""
    count = min(_PARTS, len(ordered))
    edges = [len(ordered) * k // count for k in range(count + 1)]
    parts = (ordered[low:high] for low, high in pairwise(edges))
    return tuple(max(1, round(sum(part) / len(part))) for part in parts)


def _quantile(ordered: Sequence[int], share: float) -> int:
    """The length that `share` of the requests do not exceed."""
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]
