"""What requests look like: tokens in, tokens out; all alike, or spread as in a trace."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from statistics import NormalDist

from admission.planning.sentences import Sentence
from admission.terms.spelling import UnknownNameError

_NORMAL = NormalDist()
_PARTS = 40  # equally likely lengths that represent a trace: enough for a 95th percentile


# Of the logarithm of answers' lengths where no trace says them: median 450, p90 1,400 tokens.
ANSWER_SIGMA = 0.884


@dataclass(frozen=True, slots=True)
class Held:
    """Tokens that a running request holds at some moment: their mean and standard deviation."""

    mean_tokens: int
    sd_tokens: float


@dataclass(frozen=True, slots=True)
class Spread:
    """How the requests of a trace differ, as far as the formulas of a plan ask.

    A request runs one step per token of its answer, so what is *running* is weighed by the answer:
    see `held_by`. TTFT takes `prompts` and TPOT `answers`: equally likely lengths (means of
    fortieths).
    """

    requests: int
    held: Held
    prompts: tuple[int, ...]
    answers: tuple[int, ...]
    longest_tokens: int
    left_out_ratio: float  # of the trace: longer than max_model_len


@dataclass(frozen=True, slots=True)
class Workload:
    """Requests of `isl_tokens` in and `osl_tokens` out, means.

    No prefix is cached: the safe side.
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
        """What the mean request holds in the KV cache just before it ends."""
        return self.isl_tokens + self.osl_tokens

    @property
    def held(self) -> Held:
        """What a running request holds, and attends to."""
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
        """The longest request, where one is known."""
        return self.spread.longest_tokens if self.spread else None

    def of_length(self, total_tokens: int) -> "Workload":
        """The same answers (half the request at most) after prompts that fill up the rest."""
        osl = min(self.osl_tokens, total_tokens // 2)
        return replace(self, isl_tokens=total_tokens - osl, osl_tokens=osl, spread=None)


# Means of public traces; a mean hides the spread, which the gateway prices request by request.
PRESETS = {
    "chat": Workload("chat", 862, 665, Sentence("source_chat")),
    "rag": Workload("rag", 4096, 512, Sentence("source_rag")),
    "long-context": Workload("long-context", 12_035, 343, Sentence("source_long_context")),
    "code": Workload("code", 2048, 28, Sentence("source_code")),
}


def find_workload(name: str) -> Workload:
    """The preset of that name; ValueError with the nearest known."""
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
    """The workload of a trace's (prompt, output) tokens, without what max_model_len refuses.

    `source` None = the requests of `file`. ValueError where nothing is left.
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
    told = {f"isl_{name}": _quantile(prompts, share) for name, share in shares.items()}
    told |= {f"osl_{name}": _quantile(answers, share) for name, share in shares.items()}
    return Workload(
        name=file,
        isl_tokens=max(1, round(sum(prompts) / len(prompts))),
        osl_tokens=max(1, round(decoded / len(answers))),
        source=source or Sentence("source_trace", requests=len(fitting), file=file, **told),
        spread=spread,
        offered_per_s=offered_per_s,
    )


def held_by(requests: Sequence[tuple[int, int]]) -> Held:
    """Of these (prompt, output) tokens, all as likely to come.

    One runs o steps, and at a random one of them holds i + g tokens, g even between 0 and o. So
    with weights o the mean is E[o (i + o/2)] / E[o], the square's E[o (i^2 + i o + o^2/3)] / E[o].
    """
    steps = sum(o for _, o in requests)
    mean = sum(o * (i + o / 2) for i, o in requests) / steps
    square = sum(o * (i * i + i * o + o * o / 3) for i, o in requests) / steps
    return Held(round(mean), math.sqrt(max(0.0, square - mean * mean)))


@lru_cache(maxsize=64)
def _log_normal(mean_tokens: int) -> tuple[int, ...]:
    """Means of equal parts of log-normal answers with that mean; at least one token each.

    What lies below the share p adds the share Phi(z_p - sigma) of the whole.
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
