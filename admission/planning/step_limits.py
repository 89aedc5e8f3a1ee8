"""From an engine's step times to TPOT, the time of a prompt, and the rates that they allow.

All of it is mean-value analysis on `Steps`; each function states what it leaves out. Sequences are
those of one engine; with pipeline stages they are split into one batch per stage.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

from admission.speed.step import StepContents, Steps

# Seconds from an answer's last token to the next prompt in the engine, for network and front end: a
# closed loop without think time needs at least this. Assumed.
TURNAROUND_S = 0.15
_NORMAL = NormalDist()
_HALVINGS = 12  # of a bisection: to 1/4,000 of its span


@dataclass(frozen=True, slots=True)
class Mix:
    """Requests of one kind: `prompt_tokens` to compute (not cached), then `output_tokens`.

    `batched_tokens` is vLLM's max_num_batched_tokens: decodes come first, prompts get the rest. If
    requests differ, these are means, `context_tokens` is the mean that a decoding request attends
    to, and `prompts` and `answers` are equally likely lengths. None and empty = all are alike.
    """

    prompt_tokens: int
    output_tokens: int
    batched_tokens: int = 2048  # vLLM's default below 70 GiB of GPU memory
    context_tokens: int | None = None
    prompts: tuple[int, ...] = ()
    answers: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if (
            min(self.prompt_tokens, self.output_tokens, self.batched_tokens) < 1
            or min((*self.prompts, *self.answers), default=1) < 1
        ):
            raise ValueError(f"a mix needs at least one token of each kind: {self}")

    @property
    def each_prompt(self) -> tuple[int, ...]:
        """Equally likely prompt lengths; a single one if all are alike."""
        return self.prompts or (self.prompt_tokens,)

    @property
    def each_answer(self) -> tuple[int, ...]:
        """Equally likely answer lengths; a single one if all are alike."""
        return self.answers or (self.output_tokens,)

    @property
    def mean_context_tokens(self) -> int:
        """Tokens that a decoding request attends to, on average."""
        if self.context_tokens is None:
            return self.prompt_tokens + self.output_tokens // 2
        return self.context_tokens


@dataclass(frozen=True, slots=True)
class Steady:
    """An engine that always decodes `sequences` and computes the prompts that replace them.

    `chunk_steps_ratio` of its steps carry a chunk of a prompt and take `chunk_step_s`, the others
    take `decode_step_s`; `tpot_s` is the mean. At ratio 1 prompts bind: the engine sustains no more
    sequences. `prompt_rate_per_s` is the arrival rate of prompts while prompts are computed: in a
    closed loop a step ends the same number of sequences, which are replaced, whether it is long or
    short. Each is replaced after a turnaround, so those that ended less than a turnaround before a
    prompt began arrive while it is computed: `late_prompts` per prompt.
    """

    rate_per_s: float
    tpot_s: float
    decode_step_s: float
    chunk_step_s: float
    chunk_steps_ratio: float
    prompt_rate_per_s: float
    late_prompts: float
    _chunk_spread_s: float
    _answers: tuple[int, ...]

    def tpot_within_s(self, share: float) -> float:
        """The TPOT that a `share` of the requests keeps; at least the mean.

        A request of o tokens meets f o / c prompts at random, each with c long steps. The variance
        of its time is f o c times the square of the extra time of a long step, so the TPOT of short
        answers varies more. Each length is taken as normal; bisection over the mixture of all
        lengths finds the share.
        """
        if not self._chunk_spread_s or share <= 1 / 2:
            return self.tpot_s
        spreads_s = [self._chunk_spread_s / math.sqrt(tokens) for tokens in self._answers]

        def too_few_keep(beyond_s: float) -> bool:
            kept = sum(_NORMAL.cdf(beyond_s / spread_s) for spread_s in spreads_s)
            return kept / len(spreads_s) < share

        _, beyond_s = narrowed(too_few_keep, 0.0, _NORMAL.inv_cdf(share) * max(spreads_s))
        return self.tpot_s + beyond_s


def steady(model: Steps, mix: Mix, *, sequences: int) -> Steady:
    """Rate and TPOT with `sequences` always decoding.

    Each sequence decodes for o steps, after c = ceil(prompt / chunk) steps that carry its chunks.
    So n sequences need a share f = n c / o of all steps (Little's law): TPOT = (1 - f) t_decode + f
    t_chunk and rate = n / (o TPOT). If f > 1, every step carries a chunk and rate = 1 / (c
    t_chunk). A chunk holds one prompt; chunks and contexts have their mean length.
    """
    batch, stages = _batch(model, sequences), model.stages
    context = batch * mix.mean_context_tokens
    decode_s = model.step(StepContents(batch, context)).total_s
    chunks, before = _chunks(mix, batch)
    with_chunk = StepContents(batch, context, math.ceil(mix.prompt_tokens / chunks), before)
    chunk_s = model.step(with_chunk).total_s
    needed = batch * chunks / mix.output_tokens
    ratio = min(1.0, needed)
    tpot_s = (1 - ratio) * decode_s + ratio * chunk_s
    rate = batch / (mix.output_tokens * tpot_s) if needed <= 1 else 1 / (chunks * chunk_s)
    return Steady(
        rate_per_s=stages * rate,
        tpot_s=tpot_s,
        decode_step_s=decode_s,
        chunk_step_s=chunk_s,
        chunk_steps_ratio=ratio,
        prompt_rate_per_s=stages * batch / (mix.output_tokens * chunk_s),
        late_prompts=batch / mix.output_tokens * TURNAROUND_S / decode_s,
        _chunk_spread_s=math.sqrt(chunks * ratio) * (chunk_s - decode_s),
        _answers=mix.each_answer,
    )


def most_steady(model: Steps, mix: Mix, *, tpot_s: float, at_most: int, share: float = 0.5) -> int:
    """The most sequences, always decoding, of which a `share` keeps the bound on TPOT."""

    def kept(sequences: int) -> bool:
        now = steady(model, mix, sequences=sequences)
        return now.tpot_within_s(share) <= tpot_s and now.chunk_steps_ratio < 1

    return largest(kept, min(at_most, mix.batched_tokens - 1))


def prefill_s(
    model: Steps,
    mix: Mix,
    *,
    sequences: int = 0,
    cached_tokens: int = 0,
    prompt_tokens: int | None = None,
) -> float:
    """Seconds of the steps that compute one prompt, chunk by chunk, along with the decodes.

    It is the TTFT of an engine with an empty queue, without the front end's milliseconds. A step's
    time grows linearly with the tokens computed before its chunk, so n full chunks take n times as
    long as the middle one. `prompt_tokens` None = the mean prompt.
    """
    batch = _batch(model, sequences)
    context = batch * (mix.mean_context_tokens + cached_tokens)
    room = _room(mix, batch)
    full, rest = divmod(mix.prompt_tokens if prompt_tokens is None else prompt_tokens, room)
    total_s = 0.0
    if full:
        before = cached_tokens + (full - 1) * room // 2
        total_s += full * model.step(StepContents(batch, context, room, before)).total_s
    if rest:
        last = StepContents(batch, context, rest, cached_tokens + full * room)
        total_s += model.step(last).total_s
    return total_s


def prefill_tokens_per_s(model: Steps, mix: Mix, *, sequences: int = 0) -> float:
    """Prompt tokens a second if every step carries a chunk along with the decodes.

    Each pipeline stage works on another prompt.
    """
    seconds = prefill_s(model, mix, sequences=sequences)
    return model.stages * mix.prompt_tokens / seconds


def narrowed(below: Callable[[float], bool], low: float, high: float) -> tuple[float, float]:
    """The ends of the span after bisection for the point at which `below` turns false."""
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if below(middle) else (low, middle)
    return low, high


def largest(kept: Callable[[int], bool], at_most: int) -> int:
    """The most sequences for which `kept` holds; it must be false above some number. 0 = none."""
    low, high = 0, at_most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if kept(middle) else (low, middle - 1)
    return low


def _batch(model: Steps, sequences: int) -> int:
    """Sequences in one step: each pipeline stage works on its own batch."""
    return -(-sequences // model.stages)


def _room(mix: Mix, batch: int) -> int:
    """Prompt tokens that fit into a step along with the decodes; at least one."""
    return max(1, mix.batched_tokens - batch)


def _chunks(mix: Mix, batch: int) -> tuple[float, int]:
    """Chunks per prompt, and tokens computed before a chunk; means over all prompts."""
    room, prompts = _room(mix, batch), mix.each_prompt
    counts = [-(-prompt // room) for prompt in prompts]
    before = sum(p * (count - 1) / 2 for p, count in zip(prompts, counts, strict=True))
    return sum(counts) / len(counts), int(before / sum(counts))
