"""One GPU's memory, part by part, and the KV capacity that results; entry point of this package."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from admission.planning.gpus import Gpu
from admission.planning.memory.activation import activation_peak
from admission.planning.memory.constants import MEASURED, Constants
from admission.planning.memory.engine.arguments import (
    AUTO_LENGTH,
    EngineArguments,
    Resolved,
    resolve,
)
from admission.planning.memory.engine.dropped import refuse_dropped
from admission.planning.memory.engine.loads import why_not_loaded
from admission.planning.memory.engine.versions import ASSUMED, parse_version, stretches_yarn
from admission.planning.memory.estimate import GIB, Estimate
from admission.planning.memory.kv_capacity import KvCapacity, blocks_per_request, kv_capacity
from admission.planning.memory.kv_layout import (
    KvLayout,
    kv_bytes_per_token,
    kv_bytes_per_token_total,
    kv_layout,
)
from admission.planning.memory.model.config_json import read_shape
from admission.planning.memory.model.formats import WeightFormat, dtype_bytes, weight_format
from admission.planning.memory.model.model_shape import ModelShape, stage_layers
from admission.planning.memory.overheads import cuda_graphs, cuda_graphs_outside, non_torch
from admission.planning.memory.weights import Split, weights_per_gpu
from admission.planning.sentences import Sentence

_USUAL_WIDTHS = (1, 2, 4, 8, 16)


@dataclass(frozen=True, slots=True)
class MemoryBudget:
    """One GPU, in bytes. With pipeline stages it is a GPU of the stage with the fewest KV blocks.

    reserved = ceil(total x utilization); kv = reserved - weights - activation - graphs - non_torch.
    `outside` holds CUDA's context, NCCL and the graphs that vLLM does not deduct.
    """

    total: Estimate
    reserved: Estimate
    weights: Estimate
    activation: Estimate
    graphs: Estimate
    non_torch: Estimate
    kv: Estimate
    graphs_outside: Estimate
    stage: int = 0

    @property
    def outside(self) -> float:
        """Bytes of the card beyond gpu_memory_utilization."""
        return self.total.expected - self.reserved.expected

    def parts(self) -> tuple[tuple[str, Estimate], ...]:
        """The named parts, from the bottom of the stack; their sum is the card's memory."""
        return (
            ("weights", self.weights),
            ("activation", self.activation),
            ("graphs", self.graphs),
            ("non_torch", self.non_torch),
            ("kv", self.kv),
            ("outside", Estimate.exactly(self.outside)),
        )


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """The memory model's result for one engine; in bytes unless the name says otherwise."""

    model: ModelShape
    engine: Resolved
    layout: KvLayout
    budget: MemoryBudget
    bytes_per_token: int  # the whole model at TP 1
    bytes_per_token_per_gpu: int
    low: KvCapacity
    expected: KvCapacity
    high: KvCapacity
    warnings: tuple[str, ...] = ()

    @property
    def capacity_tokens(self) -> Estimate:
        """Tokens as vLLM's start-up log prints them."""
        return Estimate(
            self.low.printed_tokens, self.expected.printed_tokens, self.high.printed_tokens
        )

    @property
    def max_concurrency(self) -> Estimate:
        """The log's "Maximum concurrency" for requests of max_model_len."""
        return Estimate(self.low.concurrency, self.expected.concurrency, self.high.concurrency)

    @property
    def misfit(self) -> str:
        """Why the engine would not start with the expected values; "" = it fits."""
        kv_gib, engine = self.budget.kv.expected / GIB, self.engine
        if kv_gib <= 0:
            return Sentence(
                "misfit_memory",
                over_gib=-kv_gib,
                reserved_gib=self.budget.reserved.expected / GIB,
                utilization=engine.utilization_ratio,
            )
        needed = self.expected.blocks_per_request * self.layout.block_bytes / GIB
        if self.expected.concurrency < 1:
            return Sentence(
                "misfit_length", length=engine.max_model_len, needed_gib=needed, kv_gib=kv_gib
            )
        longest = self.longest_tokens
        if engine.max_model_len > longest > 0:
            return Sentence("misfit_context", length=engine.max_model_len, context=longest)
        return ""

    @property
    def longest_tokens(self) -> int:
        """The longest max_model_len that vLLM accepts for this model; 0 = unknown."""
        stretches = stretches_yarn(self.engine.version)
        return self.model.context_tokens(stretches_yarn=stretches)[0]


def plan_memory(
    config: Mapping[str, Any] | ModelShape,
    gpu: Gpu,
    arguments: EngineArguments,
    *,
    available_kv_bytes: float | None = None,
    constants: Constants = MEASURED,
) -> MemoryPlan:
    """The memory plan of one engine; `available_kv_bytes` per GPU skips the prediction of memory.

    max_model_len -1 becomes the length of the longest request that fits, as in vLLM. ValueError
    for a config, a name or a value that is not understood, and for a model that vLLM does not load.
    """
    model = config if isinstance(config, ModelShape) else read_shape(config)
    if arguments.kv_cache_dtype.strip().lower() in ("auto", "") and model.kv_cache_dtype:
        arguments = replace(arguments, kv_cache_dtype=model.kv_cache_dtype)
    plan = _plan(model, gpu, arguments, available_kv_bytes, constants)
    if arguments.max_model_len != AUTO_LENGTH or plan.max_concurrency.expected >= 1:
        return plan
    fitted = replace(arguments, max_model_len=max(1, _longest(plan)))
    return _plan(model, gpu, fitted, available_kv_bytes, constants)


def _longest(plan: MemoryPlan) -> int:
    """Tokens of the longest request that the expected cache holds; 0 = none fits."""
    most, tried = 0, plan.engine.max_model_len
    step = 1 << tried.bit_length()
    while step := step >> 1:
        length = most + step
        if length <= tried:
            engine = replace(plan.engine, max_model_len=length)
            needed = sum(blocks_per_request(page, engine) for page in plan.layout.groups)
            most = length if needed <= plan.expected.blocks else most
    return most


def _plan(
    model: ModelShape,
    gpu: Gpu,
    arguments: EngineArguments,
    available_kv_bytes: float | None,
    constants: Constants,
) -> MemoryPlan:
    """The plan of one engine whose KV format is settled."""
    engine = resolve(arguments, gpu, _usual_context(model, arguments), constants)
    refuse_dropped(model.architecture, engine.version)
    split, warning = _split(model, engine)
    refused = why_not_loaded(model, engine.tp, split.format)
    if refused:
        raise ValueError(f"vLLM does not load this: {refused}{_instead(model, split.format)}")
    layout = kv_layout(model, engine)
    budgets = _budgets(model, engine, split, available_kv_bytes)
    sizes = [len(stage) for stage in stage_layers(len(model.layers), engine.pp)]
    capacities = [_capacities(layout, engine, b.kv, n) for b, n in zip(budgets, sizes, strict=True)]
    tightest = min(range(len(budgets)), key=lambda i: capacities[i][1].blocks)
    low, expected, high = (min(c, key=_blocks) for c in zip(*capacities, strict=True))
    return MemoryPlan(
        model=model,
        engine=engine,
        layout=layout,
        budget=budgets[tightest],
        bytes_per_token=kv_bytes_per_token_total(model, engine),
        bytes_per_token_per_gpu=kv_bytes_per_token(model, engine),
        low=low,
        expected=expected,
        high=high,
        warnings=(*((warning,) if warning else ()), *model.notes, *_not_counted(arguments)),
    )


def loads_with(model: ModelShape, arguments: EngineArguments, tp: int) -> bool:
    """Whether vLLM loads the model on `tp` ranks; ValueError for an unknown format."""
    form, _ = weight_format(
        arguments.quantization, model.quantization_config, arguments.weight_bits
    )
    return not why_not_loaded(model, tp, form)


def _instead(model: ModelShape, form: WeightFormat) -> str:
    """The common tensor-parallel sizes with which vLLM loads the model."""
    widths = [str(n) for n in _USUAL_WIDTHS if not why_not_loaded(model, n, form)]
    return f"; it loads with tensor_parallel_size {', '.join(widths)}" if widths else ""


def _usual_context(model: ModelShape, arguments: EngineArguments) -> int:
    """The default max_model_len; with `auto` the longest that the model supports."""
    version = parse_version(arguments.vllm_version or ASSUMED)
    longest, usual = model.context_tokens(stretches_yarn=stretches_yarn(version))
    return usual or longest


def _not_counted(arguments: EngineArguments) -> tuple[str, ...]:
    if not arguments.not_counted:
        return ()
    return (Sentence("not_counted", what=", ".join(arguments.not_counted)),)


def _split(model: ModelShape, engine: Resolved) -> tuple[Split, str]:
    """The weights' split and format, and a warning if part of the format is a guess ("" = none)."""
    given = engine.given
    form, warning = weight_format(given.quantization, model.quantization_config, given.weight_bits)
    split = Split(
        engine.tp,
        engine.pp,
        form,
        dtype_bytes(given.dtype),
        model.max_position_tokens or engine.max_model_len,
        pads_hidden=engine.gpu.compute_capability < 9.0,  # noqa: PLR2004 -- Marlin below Hopper
    )
    return split, warning


def _blocks(capacity: KvCapacity) -> int:
    return capacity.blocks


def _capacities(
    layout: KvLayout, engine: Resolved, available: Estimate, stage_size: int
) -> tuple[KvCapacity, KvCapacity, KvCapacity]:
    """Capacity of a stage of `stage_size` layers at the low, expected and high available bytes."""
    there = layout.on_stage(stage_size)
    return (
        kv_capacity(there, engine, available.low),
        kv_capacity(there, engine, available.expected),
        kv_capacity(there, engine, available.high),
    )


def _budgets(
    model: ModelShape, engine: Resolved, split: Split, available_kv_bytes: float | None
) -> list[MemoryBudget]:
    """One budget per pipeline stage."""
    total_bytes = engine.gpu.total_gib * GIB
    reserved_bytes = math.ceil(total_bytes * engine.utilization_ratio)
    peak, outside = activation_peak(model, engine), non_torch(engine)
    graphs = cuda_graphs(model, engine)
    budgets = []
    for stage, weights in enumerate(weights_per_gpu(model, split)):
        activation = peak.last if stage == engine.pp - 1 else peak.inner
        spent = weights + activation + graphs + outside
        kv = spent.subtracted_from(reserved_bytes)
        if available_kv_bytes is not None:
            kv = Estimate.exactly(available_kv_bytes)
        budgets.append(
            MemoryBudget(
                total=Estimate.exactly(total_bytes),
                reserved=Estimate.exactly(reserved_bytes),
                weights=weights,
                activation=activation,
                graphs=graphs,
                non_torch=outside,
                kv=kv,
                graphs_outside=cuda_graphs_outside(model, engine),
                stage=stage,
            )
        )
    return budgets
