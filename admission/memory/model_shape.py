"""What a model is made of, layer by layer; only what memory depends on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Attention:
    """Keys and values per head (MHA, GQA, MQA).

    `window` > 0: a token sees that many before it; `chunk` > 0: only its own chunk of that many.
    """

    heads: int
    kv_heads: int
    head_size: int
    window: int = 0
    chunk: int = 0
    biased: bool = False
    gated: bool = False  # queries carry an output gate: twice as many rows
    shared_kv_weights: bool = False  # keys and values come from one projection


@dataclass(frozen=True, slots=True)
class Latent:
    """Multi-head latent attention (MLA): one latent and one rotary key per token, for all heads."""

    heads: int
    latent_size: int  # kv_lora_rank
    rope_size: int
    nope_size: int
    value_size: int
    query_latent_size: int = 0  # q_lora_rank; 0 = queries are projected directly


@dataclass(frozen=True, slots=True)
class Recurrent:
    """Linear attention or Mamba: a state per sequence, whatever its length.

    `conv_channels` x (`conv_kernel` - 1) numbers of 2 bytes, and `state_numbers` of `state_bytes`;
    `parameters` are the layer's weights, all split over tensor-parallel ranks.
    """

    conv_channels: int
    conv_kernel: int
    state_numbers: int
    state_bytes: int
    parameters: int


Mixer = Attention | Latent | Recurrent


@dataclass(frozen=True, slots=True)
class Dense:
    """Feed-forward: `matrices` of hidden x intermediate (3 = gated, 2 = plain)."""

    intermediate: int
    matrices: int = 3


@dataclass(frozen=True, slots=True)
class Experts:
    """Mixture of experts; `shared_intermediate` is the always-on part, 0 = none."""

    count: int
    per_token: int
    intermediate: int
    shared_intermediate: int = 0


Mlp = Dense | Experts


@dataclass(frozen=True, slots=True)
class Layer:
    """One decoder layer."""

    mixer: Mixer
    mlp: Mlp


@dataclass(frozen=True, slots=True)
class ModelShape:
    """A whole model. `vision_parameters` are an image encoder's, beside the language model."""

    layers: tuple[Layer, ...]
    hidden: int
    vocabulary: int
    tied_embeddings: bool
    max_position_tokens: int
    architecture: str = ""
    vision_parameters: int = 0
    vision_is_replicated: bool = False  # whole on every tensor-parallel rank
    quantization_config: Mapping[str, Any] | None = field(default=None, hash=False)

    @property
    def kinds(self) -> frozenset[str]:
        """Which of full, sliding, chunked, latent and recurrent occur."""
        return frozenset(kind_of(layer.mixer) for layer in self.layers)

    @property
    def attending(self) -> tuple["Attention | Latent", ...]:
        """Mixers of the layers that keep keys and values, first to last: all but recurrent ones."""
        return tuple(x.mixer for x in self.layers if not isinstance(x.mixer, Recurrent))

    @property
    def is_moe(self) -> bool:
        """Whether any layer has experts."""
        return any(isinstance(layer.mlp, Experts) for layer in self.layers)

    @property
    def layout_class(self) -> str:
        """One word for tables: dense, moe, mla, sliding or hybrid (recurrent beside attention)."""
        if "recurrent" in self.kinds:
            return "hybrid"
        if "latent" in self.kinds:
            return "mla"
        if self.kinds & {"sliding", "chunked"}:
            return "sliding"
        return "moe" if self.is_moe else "dense"


def kind_of(mixer: Mixer) -> str:
    """One of full, sliding, chunked, latent and recurrent."""
    if isinstance(mixer, Latent):
        return "latent"
    if isinstance(mixer, Recurrent):
        return "recurrent"
    if mixer.window:
        return "sliding"
    return "chunked" if mixer.chunk else "full"


def stage_layers(layer_count: int, stages: int) -> list[range]:
    """Layers of each pipeline stage.

    vLLM splits evenly; what is left over goes to the stages before the last, one each, from the
    back (the last stage already holds the output matrix) [src].
    """
    if not 1 <= stages <= layer_count:
        raise ValueError(f"pipeline_parallel_size {stages} does not fit {layer_count} layers")
    each, rest = divmod(layer_count, stages)
    sizes = [each] * stages
    for i in range(rest):
        sizes[max(0, stages - 2 - i)] += 1
    starts = [sum(sizes[:i]) for i in range(stages)]
    return [range(start, start + size) for start, size in zip(starts, sizes, strict=True)]
