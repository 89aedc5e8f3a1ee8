"""How a model's layers share the KV cache: pages per layer, and groups of layers."""

import math
from dataclasses import dataclass, replace
from enum import StrEnum

from admission.planning.memory.engine.arguments import Resolved
from admission.planning.memory.engine.versions import groups_layers_by_kind, pads_latents
from admission.planning.memory.model.formats import (
    PACKED_LATENT_BYTES,
    kv_dtype_bytes,
    kv_scale_bytes,
)
from admission.planning.memory.model.model_shape import (
    Absent,
    Attention,
    Latent,
    Mixer,
    ModelShape,
    Recurrent,
    kind_of,
)

_GRAIN_TOKENS = 16  # attention blocks grow in these steps to cover a state [log: 544, 784, 1568]
_LATENT_ALIGNMENT_BYTES = 256
_LITTLE_MORE = 1.5  # below this ratio of layer counts the larger count is the group size [src]


class Holding(StrEnum):
    """Which tokens of a sequence a group keeps."""

    EVERYTHING = "everything"
    WINDOW = "window"
    CHUNK = "chunk"
    STATE = "state"


@dataclass(frozen=True, slots=True)
class Page:
    """One layer's share of a block: `bytes_` for `tokens` (a state holds any number)."""

    holding: Holding
    tokens: int
    bytes_: int
    span_tokens: int = 0  # of a window or chunk


@dataclass(frozen=True, slots=True)
class KvLayout:
    """The KV cache of one GPU; with pipeline stages, of the stage with the most layers.

    `groups` holds one page per group of `layers_per_group` layers. Every group draws blocks of
    `block_bytes` from the same pool. If there is only one group, all layers keep the same tokens.
    """

    groups: tuple[Page, ...]
    layers_per_group: int
    padding_layers: int
    model_layers: int
    block_bytes: int

    def on_stage(self, stage_size: int) -> "KvLayout":
        """The layout of a stage with `stage_size` layers: its share of each group, rounded up."""
        share = -(-self.layers_per_group * stage_size // self.model_layers)
        return replace(self, block_bytes=share * self.groups[0].bytes_)

    @property
    def block_tokens(self) -> int:
        """Tokens of the groups' smallest block; token lines up to 0.20.0 count in this unit."""
        return min(page.tokens for page in self.groups if page.holding is not Holding.STATE)


def kv_bytes_per_token(model: ModelShape, engine: Resolved) -> int:
    """Bytes that one token adds on one GPU while it is inside every window.

    Sum over attention layers: max(1, kv_heads / TP) x (key + value size) x bytes of the KV dtype;
    MLA: (latent + rotary) x bytes and the index, in full on every rank. Recurrent layers and layers
    that read another layer's cache add nothing. With pipeline stages only the layers of the largest
    stage count. Source: page sizes of vLLM's cache specs [src].
    """
    return sum(_token_bytes(mixer, engine) for mixer in _stage_mixers(model, engine))


def kv_bytes_per_token_total(model: ModelShape, engine: Resolved) -> int:
    """Bytes that one token adds in the whole model at TP 1, without replicated heads."""
    return sum(_entry_bytes(x, 1, engine) for x in model.attending if x.keeps_cache)


def kv_layout(model: ModelShape, engine: Resolved) -> KvLayout:
    """Groups of layers of the whole model, applied to the largest pipeline stage.

    With one kind of page all layers form one group. With several kinds, the number of layers of the
    rarest kind is the group size; if the most frequent kind has fewer than 1.5 times as many, its
    number is. The other kinds are split into groups of that size, and the last group is padded. All
    pages grow to the size of the largest: attention with more tokens per block, a state by padding.
    Engines before 0.10 (and V0) give every layer full pages. Source: vLLM's kv_cache_utils, "Add N
    padding layers" in the logs.
    """
    mixers = [layer.mixer for layer in model.layers]
    own = [_page(x, engine) for x in mixers if not isinstance(x, Absent) and _keeps(x)]
    if not any(page.holding is not Holding.STATE for page in own):
        raise ValueError("no layer keeps keys and values: such models are not planned here")
    pages = _unified(own)
    pages += [_draft_page(pages)] * engine.given.draft_layers
    kinds: dict[Page, int] = {}
    for page in pages:
        kinds[page] = kinds.get(page, 0) + 1
    size = _group_size(list(kinds.values()))
    groups: list[Page] = []
    padding = 0
    for page, count in kinds.items():
        copies = -(-count // size)
        groups += [page] * copies
        padding += copies * size - count
    layers = len(mixers) + engine.given.draft_layers
    whole = KvLayout(tuple(groups), size, padding, layers, size * groups[0].bytes_)
    return whole.on_stage(-(-layers // engine.pp))


def _group_size(counts: list[int]) -> int:
    fewest, most = min(counts), max(counts)
    return most if most < _LITTLE_MORE * fewest else fewest


def _stage_mixers(model: ModelShape, engine: Resolved) -> list[Mixer]:
    """Mixers of the pipeline stage with the most layers; stages of equal size are all alike."""
    share = -(-len(model.layers) // engine.pp)
    step = len(model.layers) / share
    return [model.layers[min(len(model.layers) - 1, int(i * step))].mixer for i in range(share)]


def _token_bytes(mixer: Mixer, engine: Resolved) -> int:
    if isinstance(mixer, Attention | Latent) and mixer.keeps_cache:
        return _entry_bytes(mixer, engine.tp, engine)
    return 0


def _keeps(mixer: Attention | Latent | Recurrent) -> bool:
    """Whether the layer has pages of its own."""
    return isinstance(mixer, Recurrent) or mixer.keeps_cache


def _entry_bytes(mixer: Attention | Latent, tp: int, engine: Resolved) -> int:
    """Bytes of one token in one layer on one of `tp` ranks."""
    name = engine.given.kv_cache_dtype.strip().lower()
    if name in PACKED_LATENT_BYTES:
        return _packed_bytes(mixer, name)
    number = kv_dtype_bytes(name, engine.given.dtype)
    if isinstance(mixer, Latent):
        entry = math.ceil((mixer.latent_size + mixer.rope_size) * number)
        if pads_latents(engine.version):
            entry = -(-entry // _LATENT_ALIGNMENT_BYTES) * _LATENT_ALIGNMENT_BYTES
        return entry + mixer.index_bytes
    each = mixer.entry_numbers * number + 2 * kv_scale_bytes(name)
    return math.ceil(max(1, mixer.kv_heads // tp) * each)


def _packed_bytes(mixer: Attention | Latent, name: str) -> int:
    if not (isinstance(mixer, Latent) and mixer.index_bytes):
        raise ValueError(
            f"vLLM does not load this: kv_cache_dtype {name} packs the latents of sparse attention"
            " (DeepSeek V3.2), which this model does not have"
        )
    return PACKED_LATENT_BYTES[name] + mixer.index_bytes


def _page(mixer: Attention | Latent | Recurrent, engine: Resolved) -> Page:
    if isinstance(mixer, Recurrent):
        return Page(Holding.STATE, 0, state_bytes(mixer, engine))
    tokens = engine.block_tokens
    size = tokens * _entry_bytes(mixer, engine.tp, engine)
    kind = kind_of(mixer)
    if kind in ("sliding", "chunked") and groups_layers_by_kind(engine.version):
        assert isinstance(mixer, Attention)  # noqa: S101 -- only attention has windows
        holding = Holding.WINDOW if kind == "sliding" else Holding.CHUNK
        return Page(holding, tokens, size, mixer.window or mixer.chunk)
    return Page(Holding.EVERYTHING, tokens, size)


def state_bytes(mixer: Recurrent, engine: Resolved) -> int:
    """Bytes of one sequence's state in one recurrent layer on one rank.

    conv channels / TP x (kernel - 1 + speculative tokens) x 2 + state numbers / TP x their bytes.
    Source: vLLM's state shapes; confirmed by the logged block sizes 1568 and 1600.
    """
    steps = mixer.conv_kernel - 1 + engine.given.num_speculative_tokens
    conv = mixer.conv_channels // engine.tp * steps * 2
    return conv + mixer.state_numbers // engine.tp * mixer.state_bytes


def _unified(pages: list[Page]) -> list[Page]:
    """Pages of one size: attention pages first grow to cover a state, then all to the largest."""
    state = max((p.bytes_ for p in pages if p.holding is Holding.STATE), default=0)
    if state:
        pages = [_covering(page, state) for page in pages]
    largest = max(page.bytes_ for page in pages)
    return [_grown(page, largest) for page in pages]


def _covering(page: Page, state: int) -> Page:
    """The attention page grown in steps of 16 tokens until it is at least as large as a state."""
    if page.holding is Holding.STATE or page.bytes_ >= state:
        return page
    per_token = page.bytes_ // page.tokens
    tokens = -(-state // (per_token * _GRAIN_TOKENS)) * _GRAIN_TOKENS
    return Page(page.holding, tokens, tokens * per_token, page.span_tokens)


def _grown(page: Page, largest: int) -> Page:
    """The page in a block of `largest` bytes: more tokens if the size divides, else padding."""
    if page.holding is Holding.STATE or largest % page.bytes_:
        return Page(page.holding, page.tokens, largest, page.span_tokens)
    tokens = page.tokens * (largest // page.bytes_)
    return Page(page.holding, tokens, largest, page.span_tokens)


def _draft_page(pages: list[Page]) -> Page:
    """The page of a draft head's layer: it keeps all tokens, like the model's full layers."""
    full = [page for page in pages if page.holding is Holding.EVERYTHING]
    return full[0] if full else Page(Holding.EVERYTHING, pages[0].tokens, pages[0].bytes_)
