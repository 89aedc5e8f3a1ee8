"""A model's structure, layer by layer, as far as memory depends on it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Attention:
    """Keys and values per head (MHA, GQA, MQA).

    `window` > 0: a token attends to that many tokens before it. `chunk` > 0: it attends only to its
    own chunk of that many tokens. `value_size` 0: a value is as long as a key. If `keeps_cache` is
    false, the layer reads the keys and values of an earlier layer (Gemma 3n and 4).
    """

    heads: int
    kv_heads: int
    head_size: int
    window: int = 0
    chunk: int = 0
    biased: bool = False
    gated: bool = False  # queries carry an output gate: twice as many rows
    shared_kv_weights: bool = False  # keys and values come from one projection
    value_size: int = 0
    keeps_cache: bool = True

    @property
    def entry_numbers(self) -> int:
        """Numbers that one KV head keeps per token: a key and a value."""
        return self.head_size + (self.value_size or self.head_size)


@dataclass(frozen=True, slots=True)
class Latent:
    """Multi-head latent attention (MLA): one latent and one rotary key per token, for all heads."""

    heads: int
    latent_size: int  # kv_lora_rank
    rope_size: int
    nope_size: int
    value_size: int
    query_latent_size: int = 0  # q_lora_rank; 0 = queries are projected directly
    index_bytes: int = 0  # per token, for the sparse attention's index; not part of the latent

    @property
    def keeps_cache(self) -> bool:
        """Always true: no family shares latents between layers."""
        return True


@dataclass(frozen=True, slots=True)
class Recurrent:
    """Linear attention or Mamba: a state per sequence, independent of its length.

    The state has `conv_channels` x (`conv_kernel` - 1) numbers of 2 bytes and `state_numbers` of
    `state_bytes`. `parameters` counts the layer's weights, all split over the tensor-parallel
    ranks, whose number must divide `heads`.
    """

    conv_channels: int
    conv_kernel: int
    state_numbers: int
    state_bytes: int
    parameters: int
    heads: int = 0  # 0 = no heads to split


@dataclass(frozen=True, slots=True)
class Absent:
    """No mixer: a layer with only a feed-forward part, or one whose mixer was removed."""


Mixer = Attention | Latent | Recurrent | Absent


@dataclass(frozen=True, slots=True)
class Dense:
    """Feed-forward: `matrices` of hidden x intermediate (3 = gated, 2 = plain)."""

    intermediate: int
    matrices: int = 3


@dataclass(frozen=True, slots=True)
class Experts:
    """Mixture of experts; `shared_intermediate` is the width of the shared experts, 0 = none.

    `matrices` as in Dense. `width` > 0: the experts' input and output size if it is not the hidden
    size (Nemotron 3's latent experts).
    """

    count: int
    per_token: int
    intermediate: int
    shared_intermediate: int = 0
    matrices: int = 3
    width: int = 0


Mlp = Dense | Experts


@dataclass(frozen=True, slots=True)
class Layer:
    """One decoder layer: a mixer and a feed-forward part."""

    mixer: Mixer
    mlp: Mlp


@dataclass(frozen=True, slots=True)
class ModelShape:
    """A whole model. `vision_parameters` counts the image encoder's parameters.

    `kv_cache_dtype` is the checkpoint's meaning of `auto`, "" = the model's own dtype. `notes` are
    sentences about keys of its config.json that were not understood.
    """

    layers: tuple[Layer, ...]
    hidden: int
    vocabulary: int
    tied_embeddings: bool
    max_position_tokens: int
    architecture: str = ""
    vision_parameters: int = 0
    vision_is_replicated: bool = False  # whole on every tensor-parallel rank
    quantization_config: Mapping[str, Any] | None = field(default=None, hash=False)
    kv_cache_dtype: str = ""
    table_numbers: int = 0  # in per-layer embeddings (Gemma 3n and 4)
    usual_position_tokens: int = 0  # the default max_model_len; 0 = the longest
    stretched_position_tokens: int = 0  # by YaRN, as releases before 0.30 read it; 0 = no YaRN
    notes: tuple[str, ...] = ()

    def context_tokens(self, *, stretches_yarn: bool) -> tuple[int, int]:
        """The longest max_model_len that vLLM accepts, and its default."""
        if stretches_yarn and self.stretched_position_tokens:
            return self.stretched_position_tokens, self.stretched_position_tokens
        return self.max_position_tokens, self.usual_position_tokens or self.max_position_tokens

    @property
    def kinds(self) -> frozenset[str]:
        """Which of full, sliding, chunked, latent and recurrent occur."""
        return frozenset(kind_of(x.mixer) for x in self.layers if not isinstance(x.mixer, Absent))

    @property
    def attending(self) -> tuple["Attention | Latent", ...]:
        """Mixers of the layers with attention, first to last."""
        return tuple(x.mixer for x in self.layers if isinstance(x.mixer, Attention | Latent))

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


def kind_of(mixer: Attention | Latent | Recurrent) -> str:
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

    vLLM splits evenly. Leftover layers go one each to the stages before the last, from the back:
    the last stage already holds the output matrix [src].
    """
    if not 1 <= stages <= layer_count:
        raise ValueError(f"pipeline_parallel_size {stages} does not fit {layer_count} layers")
    each, rest = divmod(layer_count, stages)
    sizes = [each] * stages
    for i in range(rest):
        sizes[max(0, stages - 2 - i)] += 1
    starts = [sum(sizes[:i]) for i in range(stages)]
    return [range(start, start + size) for start, size in zip(starts, sizes, strict=True)]
