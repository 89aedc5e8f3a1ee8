"""How many requests an engine carries under its four limits, and which limit binds.

    kv       usable blocks / blocks of a whole request (prompt and answer)
    slots    max_num_seqs
    prefill  the most sequences whose arrivals keep TTFT, with one queue of prompts (`ttft`)
    decode   the most sequences that keep TPOT, with the prompts that replace them in between

The smallest binds. If requests differ, as in a trace, kv and decode use the lengths of running
requests, and prefill the lengths of prompts (`workload.Spread`). Times are means of a prior
(`step_model`), not measurements.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import TypeVar

from admission.planning.gpus import Gpu, Link
from admission.planning.join import other_link, step_model
from admission.planning.memory.budget import MemoryPlan, plan_memory
from admission.planning.memory.engine.arguments import EngineArguments
from admission.planning.memory.estimate import Estimate
from admission.planning.memory.kv_capacity import KvCapacity, blocks_per_request
from admission.planning.memory.model.model_shape import ModelShape
from admission.planning.sentences import Sentence
from admission.planning.step_limits import Mix, largest, most_steady, prefill_s, steady
from admission.planning.ttft import PromptLine
from admission.planning.workload import Workload
from admission.speed.linear_steps import MeasuredSteps, StepCoefficients
from admission.speed.step import Steps
from admission.terms import decision
from admission.terms.slo import Slo

LIMITS = tuple(limit.value for limit in decision.Limit)
CONTEXTS_TOKENS = (2048, 4096, 8192, 16_384, 32_768)
_Number = TypeVar("_Number", int, float)
_DECIDE_SPEED = (
    "tensor_parallel_size",
    "pipeline_parallel_size",
    "quantization",
    "weight_bits",
    "dtype",
    "kv_cache_dtype",
    "enforce_eager",
)
_NORMAL = NormalDist()
_MOST_SEQUENCES = 4096  # upper end of a search; more than any max_num_seqs in use


@dataclass(frozen=True, slots=True)
class Question:
    """The inputs of a plan. `gpus` cards of one server hold gpus / (TP x PP) engines."""

    model: ModelShape
    gpu: Gpu
    gpus: int
    arguments: EngineArguments
    workload: Workload
    slo: Slo
    available_kv_bytes: float | None = None  # per GPU; None = predicted
    measured: "Measurement | None" = None  # None = step times are modelled
    link: Link | None = None  # between the cards; None = the card's own

    @property
    def replicas(self) -> int:
        """Number of engines; ValueError unless the GPUs split evenly."""
        ranks = self.arguments.tensor_parallel_size * self.arguments.pipeline_parallel_size
        if ranks < 1 or self.gpus < ranks or self.gpus % ranks:
            raise ValueError(
                f"{self.gpus} GPUs do not split into engines of {ranks} (TP x PP); "
                f"give --gpus a multiple of {ranks}"
            )
        return self.gpus // ranks

    @property
    def other_link(self) -> Link | None:
        """The other possible link if the link is neither given nor measured, else None."""
        return other_link(self.gpu) if self.link is None and not self.is_measured else None

    @property
    def is_measured(self) -> bool:
        """Whether the step times were measured on exactly this engine."""
        return self.measured is not None and self.measured.is_of(self.arguments)

    def mix(self, workload: Workload, batched_tokens: int) -> Mix:
        """The workload in the form that the step-time model takes."""
        return Mix(
            workload.isl_tokens,
            workload.osl_tokens,
            batched_tokens,
            workload.held.mean_tokens,
            workload.prompts,
            workload.answers,
        )


@dataclass(frozen=True, slots=True)
class Measurement:
    """Step times measured by `sluice calibrate`, and the engine that they belong to."""

    coefficients: StepCoefficients
    arguments: EngineArguments

    def is_of(self, others: EngineArguments) -> bool:
        """Whether an engine with `others` has these step times: all that decides speed is equal."""
        return all(getattr(self.arguments, x) == getattr(others, x) for x in _DECIDE_SPEED)


@dataclass(frozen=True, slots=True)
class PlannedLimit:
    """Requests at once and their rate over all replicas; None = the card's speed is unknown."""

    concurrency: int | None
    rate_per_s: float | None
    note: str


@dataclass(frozen=True, slots=True)
class PlannedLoad:
    """The load of one workload that a server carries, limit by limit."""

    limits: Mapping[str, PlannedLimit]
    kv: Estimate  # requests at once by KV alone
    sustained: Estimate
    rate_per_s: float | None

    @property
    def binding(self) -> str:
        """The limit with the fewest requests; the first in `LIMITS` on a tie."""
        return min(LIMITS, key=lambda name: _or_inf(self.limits[name].concurrency))


@dataclass(frozen=True, slots=True)
class Plan:
    """The result: memory of one GPU, and the load of all replicas together."""

    question: Question
    memory: MemoryPlan
    load: PlannedLoad
    other_link: (
        PlannedLoad | None
    )  # the same on the assumed switched link; None = link measured or unused

    @property
    def misfit(self) -> str:
        """Why the deployment does not fit; "" = it fits."""
        longest, needed = self.memory.engine.max_model_len, self.question.workload.total_tokens
        if self.memory.misfit or needed <= longest:
            return self.memory.misfit
        return Sentence("misfit_workload", tokens=needed, length=longest)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Reasons to distrust the numbers."""
        workload, warnings = self.question.workload, list(self.memory.warnings)
        if workload.spread and workload.spread.left_out_ratio:
            length = self.memory.engine.max_model_len
            share = workload.spread.left_out_ratio
            warnings.append(Sentence("too_long", share=share, length=length))
        offered, sustained = workload.offered_per_s or 0.0, self.load.rate_per_s
        if sustained is not None and offered > sustained:
            warnings.append(Sentence("offered_more", offered=offered, sustained=sustained))
        return tuple(warnings)


def make_plan(question: Question) -> Plan:
    """The plan; ValueError for arguments that no engine accepts."""
    replicas = question.replicas
    memory = plan_memory(
        question.model,
        question.gpu,
        question.arguments,
        available_kv_bytes=question.available_kv_bytes,
    )
    expected = _load(question, memory, question.workload, None)
    link = question.other_link if memory.engine.tp > 1 else None
    if link is None:
        return Plan(question, memory, _times(expected, replicas), None)
    faster = _load(question, memory, question.workload, link)
    most = max(expected.sustained.high, faster.sustained.high)
    expected = replace(expected, sustained=replace(expected.sustained, high=most))
    return Plan(question, memory, _times(expected, replicas), _times(faster, replicas))


def over_context(
    plan: Plan, contexts_tokens: Sequence[int] = CONTEXTS_TOKENS, link: Link | None = None
) -> list[tuple[int, PlannedLoad]]:
    """The load for each request length that max_model_len allows, with the plan's answers.

    `link` replaces the plan's own.
    """
    question, longest = plan.question, plan.memory.engine.max_model_len
    return [
        (tokens, _times(_load(question, plan.memory, made, link), question.replicas))
        for tokens in contexts_tokens
        if tokens <= longest
        for made in (question.workload.of_length(tokens),)
    ]


def requests_by_kv(memory: MemoryPlan, capacity: KvCapacity, tokens: int) -> int:
    """Complete requests of `tokens` each that one engine's cache holds; 0 beyond max_model_len."""
    if tokens > memory.engine.max_model_len:
        return 0
    return capacity.usable_blocks // _blocks(memory, tokens)


def carried_by_kv(
    memory: MemoryPlan, capacity: KvCapacity, workload: Workload, share: float = 0.5
) -> int:
    """Most running requests that leave room for a new one, to its end, for a `share` of the time.

    n requests hold n m tokens on average, with a standard deviation of s sqrt(n): at any moment
    some have just begun and some are near their end. So the cache must hold n m + z s sqrt(n) plus
    the tokens of the new request. The worst case, all at their end at once, does not occur.
    """
    if requests_by_kv(memory, capacity, workload.total_tokens) < 1:
        return 0
    held = workload.held
    mean, own = _blocks(memory, held.mean_tokens), _blocks(memory, workload.total_tokens)
    swing = _NORMAL.inv_cdf(share) * held.sd_tokens * mean / held.mean_tokens
    room = capacity.usable_blocks - own
    if room <= 0:
        return 1
    root = (math.sqrt(swing * swing + 4 * mean * room) - swing) / (2 * mean)
    return 1 + int(root * root)


def _blocks(memory: MemoryPlan, tokens: int) -> int:
    """Blocks of one request of `tokens`, over all groups of layers."""
    sized = replace(memory.engine, max_model_len=tokens)
    return sum(blocks_per_request(page, sized) for page in memory.layout.groups)


def steps_of(question: Question, memory: MemoryPlan, link: Link | None = None) -> Steps | None:
    """Step times, measured on exactly this engine or modelled; None = card's speed unknown."""
    if question.measured is not None and question.is_measured:
        return MeasuredSteps(question.measured.coefficients, stages=memory.engine.pp)
    return step_model(memory, link or question.link)


def _load(
    question: Question, memory: MemoryPlan, workload: Workload, link: Link | None
) -> PlannedLoad:
    """The load of one engine: its four limits."""
    model, engine = steps_of(question, memory, link), memory.engine
    slo, held = question.slo, workload.held
    share = slo.ttft_share if slo.ttft_s < math.inf else 1 / 2
    low, middle, high = (
        carried_by_kv(memory, capacity, workload, share)
        for capacity in (memory.low, memory.expected, memory.high)
    )
    mix = question.mix(workload, engine.max_batched_tokens)
    note = Sentence("kv_note", blocks=memory.expected.usable_blocks, tokens=held.mean_tokens)
    limits = {
        "kv": _limit(model, mix, middle, note),
        "slots": _limit(model, mix, engine.max_sequences, Sentence("slots_note")),
        "prefill": _prefill(model, mix, question.slo),
        "decode": _decode(model, mix, question.slo),
    }
    others = min(_or_inf(limits[name].concurrency) for name in LIMITS[1:])
    sustained = Estimate(*(min(kv, others) for kv in (low, middle, high)))
    rate = _limit(model, mix, int(sustained.expected), "").rate_per_s
    return PlannedLoad(limits, Estimate(low, middle, high), sustained, rate)


def _limit(model: Steps | None, mix: Mix, sequences: int, note: str) -> PlannedLimit:
    """A limit of `sequences`, with the rate at which they arrive and finish."""
    if model is None:
        return PlannedLimit(sequences, None, note)
    if sequences < 1:
        return PlannedLimit(0, 0.0, note)
    return PlannedLimit(sequences, steady(model, mix, sequences=sequences).rate_per_s, note)


def _unknown() -> PlannedLimit:
    return PlannedLimit(None, None, Sentence("speed_unknown_note"))


def _prefill(model: Steps | None, mix: Mix, slo: Slo) -> PlannedLimit:
    """The most sequences of a closed loop that keep the TTFT bound."""
    if model is None:
        return _unknown()
    if slo.ttft_s == math.inf:
        return _limit(model, mix, _cap(mix), Sentence("no_ttft_note"))

    def kept(sequences: int) -> bool:
        now = steady(model, mix, sequences=sequences)
        line = PromptLine(model, mix, sequences=sequences)
        met_per_s = line.others_per_s(now.prompt_rate_per_s)
        taken_s = line.ttft_s(met_per_s, share=slo.ttft_share, late_prompts=now.late_prompts)
        return now.chunk_steps_ratio < 1 and taken_s <= slo.ttft_s

    found = largest(kept, _cap(mix))
    return _limit(model, mix, found, Sentence("prefill_note", seconds=prefill_s(model, mix)))


def _decode(model: Steps | None, mix: Mix, slo: Slo) -> PlannedLimit:
    """The most sequences at which the SLO's share of them keeps TPOT, with prompts in between."""
    if model is None:
        return _unknown()
    share = slo.tpot_share
    found = most_steady(model, mix, tpot_s=slo.tpot_s, at_most=_cap(mix), share=share)
    at = steady(model, mix, sequences=max(1, found))
    note = Sentence(
        "decode_note", tpot_ms=at.tpot_within_s(share) * 1e3, step_ms=at.chunk_step_s * 1e3
    )
    return _limit(model, mix, found, note)


def _cap(mix: Mix) -> int:
    """Upper end of a search; it leaves a quarter of a step's tokens to prompts."""
    return min(_MOST_SEQUENCES, mix.batched_tokens * 3 // 4)


def _times(load: PlannedLoad, replicas: int) -> PlannedLoad:
    """The load of `replicas` engines among which requests are spread evenly."""
    return PlannedLoad(
        limits={
            name: PlannedLimit(
                _scaled(x.concurrency, replicas), _scaled(x.rate_per_s, replicas), x.note
            )
            for name, x in load.limits.items()
        },
        kv=load.kv.times(replicas),
        sustained=load.sustained.times(replicas),
        rate_per_s=_scaled(load.rate_per_s, replicas),
    )


def _scaled(number: _Number | None, factor: int) -> _Number | None:
    return None if number is None else number * factor


def _or_inf(number: int | None) -> float:
    return math.inf if number is None else number
