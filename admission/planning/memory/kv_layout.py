"""How a model's layers share the KV cache: pages per layer, and groups of layers."""

import math
from dataclasses import dataclass, replace
from enum import StrEnum

from admission.planning.memory.arguments import Resolved
from admission.planning.memory.formats import (
    PACKED_LATENT_BYTES,
    kv_dtype_bytes,
    kv_scale_bytes,
)
from admission.planning.memory.model_shape import (
    Absent,
    Attention,
    Latent,
    Mixer,
    ModelShape,
    Recurrent,
    kind_of,
)
from admission.planning.memory.versions import groups_layers_by_kind, pads_latents

_GRAIN_TOKENS = 16  # attention blocks grow in these steps to cover a state [log: 544, 784, 1568]
_LATENT_ALIGNMENT_BYTES = 256
_LITTLE_MORE = 1.5  # below this ratio of layer counts the larger count is the group size [src]


class Holding(StrEnum):
    """What a group keeps of a sequence."""

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
    """The KV cache of one GPU; with pipeline stages, of the stage with most layers.

    `groups` are pages, one per group of `layers_per_group` layers; every group draws blocks of
    `block_bytes` from the same pool. One group: all layers keep the same tokens.
    """

    groups: tuple[Page, ...]
    layers_per_group: int
    padding_layers: int
    model_layers: int
    block_bytes: int

    def on_stage(self, stage_size: int) -> "KvLayout":
        """The layout of a stage of `stage_size` layers: its share of each group, rounded up."""
        share = -(-self.layers_per_group * stage_size // self.model_layers)
        return replace(self, block_bytes=share * self.groups[0].bytes_)

    @property
    def block_tokens(self) -> int:
        """Tokens of the groups' smallest block, as the token line up to 0.20.0 counts."""
        return min(page.tokens for page in self.groups if page.holding is not Holding.STATE)


def kv_bytes_per_token(model: ModelShape, engine: Resolved) -> int:
    """Bytes that one token adds on one GPU while it is inside every window.

    Sum over attention layers: max(1, kv_heads / TP) x (key + value size) x bytes of the KV dtype;
    MLA: (latent + rotary) x bytes and the index, on every rank whole; recurrent layers and those
    that read another layer's cache add nothing. Divided by PP through the layers of the largest
    stage. Source: page sizes of vLLM's cache specs [src].
    """
    return sum(_token_bytes(mixer, engine) for mixer in _stage_mixers(model, engine))


def kv_bytes_per_token_total(model: ModelShape, engine: Resolved) -> int:
    """The same for the whole model at TP 1: what one token holds once, without replicas."""
    return sum(_entry_bytes(x, 1, engine) for x in model.attending if x.keeps_cache)


def kv_layout(model: ModelShape, engine: Resolved) -> KvLayout:
    """Groups of layers of the whole model, laid on the largest pipeline stage.

    One kind of page: one group of all layers. Several: the layers of the rarest kind set the group
    size (the most frequent kind's, when below 1.5 times as many), the other kinds are split into
    groups of that size, the last one padded; every page grows to the largest: attention by more
    tokens per block, a state by padding. Engines before 0.10 (and V0) give every layer full pages.
    Source: vLLM's kv_cache_utils, "Add N padding layers" in the logs.
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
    """Mixers of the pipeline stage that holds most layers; even stages are all alike."""
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
    """Pages of one size: blocks with states first grow to cover the state, then all to the max."""
    state = max((p.bytes_ for p in pages if p.holding is Holding.STATE), default=0)
    if state:
        pages = [_covering(page, state) for page in pages]
    largest = max(page.bytes_ for page in pages)
    return [_grown(page, largest) for page in pages]


def _covering(page: Page, state: int) -> Page:
    """An attention block in steps of 16 tokens that is no smaller than a state."""
    if page.holding is Holding.STATE or page.bytes_ >= state:
        return page
    per_token = page.bytes_ // page.tokens
    tokens = -(-state // (per_token * _GRAIN_TOKENS)) * _GRAIN_TOKENS
    return Page(page.holding, tokens, tokens * per_token, page.span_tokens)


def _grown(page: Page, largest: int) -> Page:
    """The page in a block of `largest` bytes: more tokens where that divides, else padding."""
    if page.holding is Holding.STATE or largest % page.bytes_:
        return Page(page.holding, page.tokens, largest, page.span_tokens)
    tokens = page.tokens * (largest // page.bytes_)
    return Page(page.holding, tokens, largest, page.span_tokens)


def _draft_page(pages: list[Page]) -> Page:
    """A draft head's layer keeps everything, in pages like the model's own full layers."""
    full = [page for page in pages if page.holding is Holding.EVERYTHING]
    return full[0] if full else Page(Holding.EVERYTHING, pages[0].tokens, pages[0].bytes_)
