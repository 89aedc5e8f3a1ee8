"""Weights per GPU: the bytes that torch allocates for every tensor of a rank."""

from collections.abc import Iterator
from dataclasses import dataclass

from admission.planning.memory.allocator import held_bytes
from admission.planning.memory.estimate import Estimate
from admission.planning.memory.model.formats import WeightFormat
from admission.planning.memory.model.model_shape import (
    Absent,
    Attention,
    Dense,
    Experts,
    Latent,
    Layer,
    ModelShape,
    Recurrent,
    stage_layers,
)

_VOCABULARY_PAD = 64  # vLLM rounds the vocabulary up to this [src]
_EXPERT_PAD = 256  # MXFP4 kernels round the experts' width up to this [log: gpt-oss, +1 % left]


@dataclass(frozen=True, slots=True)
class Split:
    """How the model is split over GPUs, and in which format."""

    tp: int
    pp: int
    format: WeightFormat
    number_bytes: int  # per number that is not quantised
    context_tokens: int  # rows of the rotary table
    pads_hidden: bool = False  # the 4-bit expert kernel pads both sides of its matrices


def weights_per_gpu(model: ModelShape, split: Split) -> tuple[Estimate, ...]:
    """Bytes of weights on one GPU of each pipeline stage.

    The sum of `allocator.held_bytes` over the rank's tensors: q, o and feed-forward / TP; k and v
    heads, replicated if TP > KV heads; experts / TP; MLA's down-projections on every rank and its
    up-projection a second time (absorbed into queries and outputs); embedding and output matrix in
    16 bits with the vocabulary padded to 64, / TP (tied: once); the rotary table; the image
    encoder. Source: shapes of vLLM's layers, checked against "Model loading took": half of the
    dense text models within 0.1 %, 19 of 20 within 1 %.

    Range: -0.5 % to +1.5 %; quantised to +3 %, for the workspaces of their kernels (K190: +3 %).
    """
    stages = stage_layers(len(model.layers), split.pp)
    above = 0.03 if not split.format.plain else 0.015
    sums = [float(_stage_bytes(model, split, stage)) for stage in stages]
    return tuple(Estimate.around(s, below=0.005 * s, above=above * s) for s in sums)


def _stage_bytes(model: ModelShape, split: Split, stage: range) -> int:
    total = sum(
        held_bytes(size) for i in stage for size in _layer_tensors(model, split, model.layers[i])
    )
    first, last = stage.start == 0, stage.stop == len(model.layers)
    rows = -(-model.vocabulary // _VOCABULARY_PAD) * _VOCABULARY_PAD // split.tp
    table = held_bytes(rows * model.hidden * split.number_bytes)
    total += table * (first + last - (first and last and model.tied_embeddings))
    total += held_bytes(_rotary_bytes(model, split))
    total += first * held_bytes(model.table_numbers // split.tp * split.number_bytes)
    return total + (_vision_bytes(model, split) if first else 0)


def _vision_bytes(model: ModelShape, split: Split) -> int:
    """The image encoder in the model's dtype: Pixtral whole on every rank, others split [log]."""
    ranks = 1 if model.vision_is_replicated else split.tp
    return model.vision_parameters * split.number_bytes // ranks


def _rotary_bytes(model: ModelShape, split: Split) -> int:
    """Sine and cosine of each position: context x rotary size, in the model's dtype."""
    for layer in model.layers:
        if isinstance(layer.mixer, Attention):
            return split.context_tokens * layer.mixer.head_size * split.number_bytes
        if isinstance(layer.mixer, Latent):
            return split.context_tokens * layer.mixer.rope_size * split.number_bytes
    return 0


def _layer_tensors(model: ModelShape, split: Split, layer: Layer) -> Iterator[int]:
    """Bytes of each tensor of one layer on one rank."""
    mixer, hidden, tp = layer.mixer, model.hidden, split.tp
    if isinstance(mixer, Attention):
        yield from _attention_tensors(mixer, hidden, split)
    elif isinstance(mixer, Latent):
        yield from _latent_tensors(mixer, hidden, split)
    elif not isinstance(mixer, Absent):
        yield from _recurrent_tensors(mixer, hidden, split)
    if isinstance(layer.mlp, Dense):
        wide = layer.mlp.intermediate // tp
        yield from _linear((layer.mlp.matrices - 1) * wide, hidden, split)
        yield from _linear(hidden, wide, split)
    else:
        yield from _expert_tensors(layer.mlp, hidden, split)
    yield 4 * hidden * split.number_bytes  # norms: small, replicated


def _attention_tensors(mixer: Attention, hidden: int, split: Split) -> Iterator[int]:
    queries = mixer.heads * mixer.head_size // split.tp
    kv_heads = max(1, mixer.kv_heads // split.tp)
    kv_rows = kv_heads * (mixer.head_size if mixer.shared_kv_weights else mixer.entry_numbers)
    attention = _unless_moe_only(split)
    yield from _linear(queries * (2 if mixer.gated else 1) + kv_rows, hidden, attention)
    yield from _linear(hidden, queries, attention)
    if mixer.biased:
        yield (queries + kv_rows) * split.number_bytes


def _latent_tensors(mixer: Latent, hidden: int, split: Split) -> Iterator[int]:
    heads = mixer.heads // split.tp
    query_rows = heads * (mixer.nope_size + mixer.rope_size)
    if mixer.query_latent_size:
        yield from _linear(mixer.query_latent_size, hidden, split)
        yield from _linear(query_rows, mixer.query_latent_size, split)
    else:
        yield from _linear(query_rows, hidden, split)
    yield from _linear(mixer.latent_size + mixer.rope_size, hidden, split)
    up_rows = heads * (mixer.nope_size + mixer.value_size)
    yield from _linear(up_rows, mixer.latent_size, split)
    yield up_rows * mixer.latent_size * split.number_bytes  # absorbed copy, never quantised
    yield from _linear(hidden, heads * mixer.value_size, split)


def _recurrent_tensors(mixer: Recurrent, hidden: int, split: Split) -> Iterator[int]:
    yield from _linear(mixer.parameters // hidden // split.tp, hidden, split)
    yield mixer.conv_channels * mixer.conv_kernel // split.tp * split.number_bytes


def _expert_tensors(mlp: Experts, hidden: int, split: Split) -> Iterator[int]:
    wide, deep = -(-mlp.intermediate // split.tp), mlp.width or hidden
    if split.format.moe_only:
        wide = _padded(wide)
        deep = _padded(deep) if split.pads_hidden else deep
    yield from _linear(mlp.count * (mlp.matrices - 1) * wide, deep, split)
    yield from _linear(mlp.count * deep, wide, split)
    yield mlp.count * hidden * split.number_bytes  # the router
    if mlp.shared_intermediate:
        shared = _unless_moe_only(split)
        rows = (mlp.matrices - 1) * mlp.shared_intermediate // split.tp
        yield from _linear(rows, hidden, shared)
        yield from _linear(hidden, mlp.shared_intermediate // split.tp, shared)


def _padded(width: int) -> int:
    return -(-width // _EXPERT_PAD) * _EXPERT_PAD


def _unless_moe_only(split: Split) -> Split:
    """The split for layers that an experts-only format does not quantise."""
    if not split.format.moe_only:
        return split
    return Split(split.tp, split.pp, WeightFormat("none", 0), split.number_bytes, 0)


def _linear(rows: int, columns: int, split: Split) -> Iterator[int]:
    """Weight, scales and zero points of one linear layer on one rank."""
    numbers, form = rows * columns, split.format
    if form.plain:
        yield numbers * split.number_bytes
        return
    yield numbers * form.bits // 8
    groups = -(-numbers // form.group) if form.group else rows
    yield groups * form.scale_bytes
    if form.zero_bits:
        yield groups * form.zero_bits // 8
