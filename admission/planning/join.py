"""Converts an engine of the memory model into the step-time model's shape and deployment."""

import math

from admission.planning.gpus import Gpu, Link
from admission.planning.memory.budget import MemoryPlan
from admission.planning.memory.engine.arguments import EngineArguments
from admission.planning.memory.model.formats import kv_dtype_bytes, weight_format
from admission.planning.memory.model.model_shape import Attention, Experts, Latent, ModelShape
from admission.planning.step_model import ComputeShape, Deployment, StepModel, Weights

_BYTE_BITS, _FULL_BITS = 8, 16


def other_link(gpu: Gpu) -> Link | None:
    """The alternative link for a PCIe 4 card without measured all-reduces; None = not needed."""
    if gpu.speeds is None or gpu.measured_link or gpu.speeds.link is not Link.PCIE4:
        return None
    return Link.PCIE4_P2P


def compute_shape(model: ModelShape) -> ComputeShape:
    """The parts of a model's shape that decide speed, reduced from all layers to one.

    Heads come from the first layer with attention, the width from the widest MLP. Shared experts
    count as experts that every token takes. MLA counts as one KV head of (latent + rotary) / 2, so
    that a key and a value together have its bytes. Windows count as full attention (a slow bound).
    """
    attending = model.attending
    first = attending[0] if attending else Attention(1, 1, model.hidden)
    if isinstance(first, Latent):
        kv_heads, head_size = 1, -(-(first.latent_size + first.rope_size) // 2)
    else:
        kv_heads, head_size = first.kv_heads, first.head_size
    experts = next((x.mlp for x in model.layers if isinstance(x.mlp, Experts)), None)
    shared = 0
    if experts is not None and experts.shared_intermediate:
        shared = math.ceil(experts.shared_intermediate / experts.intermediate)
    return ComputeShape(
        layers=len(model.layers),
        hidden=model.hidden,
        heads=first.heads,
        kv_heads=kv_heads,
        head_size=head_size,
        intermediate=max(
            x.mlp.intermediate for x in model.layers if isinstance(x.mlp, Experts) or not experts
        ),
        vocab=model.vocabulary,
        experts=experts.count + shared if experts else 0,
        experts_per_token=experts.per_token + shared if experts else 0,
        kv_layers=len(attending),
    )


def weights_of(model: ModelShape, arguments: EngineArguments) -> Weights:
    """The step-time model's weight class, by the bits of the arguments' weight format."""
    form, _ = weight_format(
        arguments.quantization, model.quantization_config, arguments.weight_bits
    )
    if form.plain or form.bits >= _FULL_BITS:
        return Weights.BITS_16
    if form.bits < _BYTE_BITS:
        return Weights.INT4
    return Weights.FP8 if form.name == "fp8" else Weights.INT8


def step_model(memory: MemoryPlan, link: Link | None = None) -> StepModel | None:
    """The step times of the engine in `memory`; None if the card's speed is unknown."""
    engine = memory.engine
    speeds, given = engine.gpu.speeds, engine.given
    if speeds is None:
        return None
    return StepModel(
        Deployment(
            shape=compute_shape(memory.model),
            gpu=speeds,
            weights=weights_of(memory.model, given),
            tensor_parallel=engine.tp,
            pipeline_parallel=engine.pp,
            kv_element_bytes=kv_dtype_bytes(given.kv_cache_dtype, given.dtype),
            cuda_graphs=not given.enforce_eager,
            link=link,
        )
    )
