"""Models that vLLM does not load: tensor parallelism would cut their heads, groups or blocks.

Each rule is an assertion or an error of vLLM 0.32; the comment or docstring names its place.
"""

from collections.abc import Iterator

from admission.planning.memory.model.formats import WeightFormat
from admission.planning.memory.model.model_shape import (
    Attention,
    Experts,
    Latent,
    Layer,
    ModelShape,
    Recurrent,
)

_VOCABULARY_PAD = 64  # vocab_parallel_embedding.DEFAULT_VOCAB_PADDING_SIZE
_LEAST_HALVED_GROUP = 32  # moe_wna16 halves a group that does not fit, down to this
_HALVES = ("awq", "gptq")  # formats whose experts fall back on moe_wna16


def why_not_loaded(model: ModelShape, tp: int, form: WeightFormat) -> str:
    """The first reason why vLLM does not load the model on `tp` ranks; "" = it loads."""
    checked: set[Layer] = set()
    for layer in model.layers:
        if layer not in checked:
            checked.add(layer)
            for reason in (*_heads(layer, tp), *_widths(layer, tp), *_cut(layer, tp, form)):
                return reason
    rows = -(-model.vocabulary // _VOCABULARY_PAD) * _VOCABULARY_PAD
    if rows % tp:  # VocabParallelEmbedding: divide(num_embeddings_padded, tp_size)
        return _uneven(tp, f"the vocabulary, {rows} rows with vLLM's padding")
    return ""


def _uneven(tp: int, what: str) -> str:
    return f"tensor_parallel_size {tp} does not divide {what}"


def _heads(layer: Layer, tp: int) -> Iterator[str]:
    """ModelConfig.verify_with_parallel_config, QKVParallelLinear, and the states' `divide`."""
    mixer = layer.mixer
    if isinstance(mixer, Attention | Latent) and mixer.heads % tp:
        yield _uneven(tp, f"{mixer.heads} attention heads")
    if isinstance(mixer, Attention):
        smaller, larger = sorted((tp, mixer.kv_heads))
        if larger % smaller:
            yield _uneven(tp, f"{mixer.kv_heads} KV heads, nor they it")
    if isinstance(mixer, Recurrent) and mixer.heads % tp:
        yield _uneven(tp, f"{mixer.heads} heads of the recurrent layers")
    if isinstance(mixer, Recurrent) and not mixer.heads and mixer.conv_channels % tp:
        yield _uneven(tp, f"{mixer.conv_channels} channels of the recurrent layers")


def _widths(layer: Layer, tp: int) -> Iterator[str]:
    """ColumnParallelLinear and FusedMoEConfig: every rank holds the same number of columns."""
    mlp = layer.mlp
    if mlp.intermediate % tp:
        whose = "experts" if isinstance(mlp, Experts) else "feed-forward layers"
        yield _uneven(tp, f"the {mlp.intermediate} columns of the {whose}")
    if isinstance(mlp, Experts) and mlp.shared_intermediate % tp:
        yield _uneven(tp, f"the {mlp.shared_intermediate} columns of the shared experts")


def _cut(layer: Layer, tp: int, form: WeightFormat) -> Iterator[str]:
    """Groups and blocks of a quantised matrix that would span two ranks."""
    mixer, mlp = layer.mixer, layer.mlp
    if form.block:
        yield from _cut_blocks(layer, tp, form)
        return
    if not (form.marlin or form.name == "nvfp4") or form.group < 1:
        return
    inputs = {} if form.moe_only else _attention_inputs(mixer)
    if isinstance(mlp, Experts):
        halves = form.name in _HALVES and form.group % _LEAST_HALVED_GROUP == 0
        group = _LEAST_HALVED_GROUP if halves else form.group
        yield from _cut_group(mlp.intermediate, group, tp, "experts' down projections")
        if not form.moe_only:
            inputs["shared experts' down projections"] = mlp.shared_intermediate
    else:
        inputs["down projections"] = mlp.intermediate
    for what, columns in inputs.items():
        yield from _cut_group(columns, form.group, tp, what)


def _attention_inputs(mixer: object) -> dict[str, int]:
    """Input columns of the output projections by name; the ranks split them."""
    if isinstance(mixer, Attention):
        return {"attention's output projections": mixer.heads * mixer.head_size}
    if isinstance(mixer, Latent):
        return {"attention's output projections": mixer.heads * mixer.value_size}
    return {}


def _cut_group(columns: int, group: int, tp: int, what: str) -> Iterator[str]:
    """AutoAWQLinearMethod, the Marlin kernel, verify_group_size_divides_partition."""
    if columns % tp == 0 and columns // tp % group and group < columns:
        each = columns // tp
        yield (
            f"tensor_parallel_size {tp} cuts quantisation groups of {group}: each rank would hold"
            f" {each} columns of the {what}, {each / group:g} groups"
        )


def _cut_blocks(layer: Layer, tp: int, form: WeightFormat) -> Iterator[str]:
    """validate_fp8_block_shape and validate_fp8_block_shape_moe."""
    assert form.block is not None  # noqa: S101 -- for the type checker: the caller looked
    rows, columns = form.block
    mlp = layer.mlp
    sides = [] if form.moe_only else list(_attention_sides(layer.mixer, tp))
    if isinstance(mlp, Experts):
        sides += [("experts", mlp.intermediate // tp, True)]
        if not form.moe_only:
            sides += [("shared experts", mlp.shared_intermediate // tp, True)]
    else:
        sides += [("feed-forward layers", mlp.intermediate // tp, True)]
    for whose, each, cut_columns in sides:
        if each % rows or (cut_columns and tp > 1 and each % columns):
            yield (
                f"tensor_parallel_size {tp} cuts FP8 blocks of {rows} x {columns}: each rank would"
                f" hold {each} rows of the {whose}"
            )


def _attention_sides(mixer: object, tp: int) -> Iterator[tuple[str, int, bool]]:
    """Per matrix: its name, the rows on each rank, and whether its columns are split as well."""
    if isinstance(mixer, Attention):
        yield "queries", mixer.heads * mixer.head_size // tp, True
        yield "keys", max(1, mixer.kv_heads // tp) * mixer.head_size, False
    elif isinstance(mixer, Latent) and tp > 1:
        yield "attention's values", mixer.heads * mixer.value_size // tp, True
