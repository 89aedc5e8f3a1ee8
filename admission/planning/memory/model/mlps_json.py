"""A layer's feed-forward part in a config.json: dense, experts, or none."""

from admission.planning.memory.model.keys import Keys
from admission.planning.memory.model.layer_kinds import LayerKind
from admission.planning.memory.model.model_shape import Dense, Experts, Mlp

_PLAIN, _GATED = 2, 3  # matrices
_PLAIN_FAMILIES = (
    "bloom",
    "codegen",
    "falcon",
    "gpt2",
    "gpt_bigcode",
    "gpt_neox",
    "gptj",
    "mpt",
    "nemotron",
    "opt",
    "phi-",
    "phi2",
    "refinedweb",
    "starcoder2",
)
_NOTHING = Dense(0)


def mlp(keys: Keys, layer: int, kind: LayerKind, model_type: str) -> Mlp:
    """The feed-forward part of a layer; Nemotron-H's layers have either a mixer or one of these."""
    apart = _is_apart(keys)
    if apart and kind not in (LayerKind.DENSE, LayerKind.EXPERTS):
        return _NOTHING
    count = _experts(keys, layer)
    here = kind is LayerKind.EXPERTS if apart else _has_experts(keys, layer, model_type)
    return (
        _routed(keys, layer, count, model_type)
        if count and here
        else _dense(keys, layer, model_type)
    )


def _is_apart(keys: Keys) -> bool:
    """Whether the list of layers has separate feed-forward layers."""
    stated = keys.get("layer_types")
    return isinstance(stated, str | list) and any(x in ("-", "E", "mlp", "moe") for x in stated)


def _experts(keys: Keys, layer: int) -> int:
    """Experts of a layer; 1 means none (Hunyuan's dense models); ERNIE VL's two kinds are one."""
    value = keys.get("num_experts")
    if value is None:
        value = keys.part("ffn_config").get("num_experts")
    if isinstance(value, list) and len(value) == 2 and _is_two_kinds(keys):  # noqa: PLR2004
        return max(int(x) for x in value)
    count = keys.at("num_experts", layer) or keys.part("ffn_config").number("num_experts")
    return count if count > 1 else 0


def _is_two_kinds(keys: Keys) -> bool:
    """ERNIE 4.5 VL: experts for text and experts for images, each with a width of its own."""
    widths = keys.get("moe_intermediate_size")
    return isinstance(widths, list) and len(widths) == 2 < keys.layer_count()  # noqa: PLR2004


def _routed(keys: Keys, layer: int, count: int, model_type: str) -> Experts:
    part = keys.part("ffn_config")
    width = _expert_width(keys, layer) or part.number("intermediate_size")
    width = width or keys.at("intermediate_size", layer)
    if not width:
        raise ValueError("config.json: neither moe_intermediate_size nor intermediate_size")
    used = keys.at("num_experts_per_tok", layer) or part.number("num_experts_per_tok", default=2)
    return Experts(
        count=count,
        per_token=used,
        intermediate=width,
        shared_intermediate=_shared(keys, layer, width, model_type),
        matrices=_matrices(keys, model_type),
        width=keys.number("moe_latent_size"),
    )


def _expert_width(keys: Keys, layer: int) -> int:
    widths = keys.get("moe_intermediate_size")
    if isinstance(widths, list) and _is_two_kinds(keys):
        return sum(int(x) for x in widths)
    return keys.at("moe_intermediate_size", layer)


def _shared(keys: Keys, layer: int, width: int, model_type: str) -> int:
    """Total width of the experts that every token passes through."""
    number = keys.at("num_shared_experts", layer)
    each = keys.number("moe_shared_expert_intermediate_size")
    if each:
        return each * max(1, number)
    stated = keys.number("shared_expert_intermediate_size")
    if stated:
        return stated
    if model_type.startswith("llama4"):
        return width
    if model_type.startswith("gemma4"):  # a dense part runs in parallel with the experts
        return keys.at("intermediate_size", layer)
    return number * width


def _has_experts(keys: Keys, layer: int, model_type: str) -> bool:
    """Whether the layer has experts, by the key that the family uses."""
    if model_type.startswith("gemma4") and keys.get("enable_moe_block") is False:
        return False
    kinds = keys.get("mlp_layer_types")
    if isinstance(kinds, list) and layer < len(kinds):
        return bool(kinds[layer] != "dense")
    named = _named_layers(keys)
    if named is not None:
        return layer in named
    dense = keys.get("mlp_only_layers")
    if isinstance(dense, list) and layer in dense:
        return False
    return _by_step(keys, layer)


def _named_layers(keys: Keys) -> set[int] | None:
    """Layers with experts as a list of numbers (Llama 4) or a text with commas (Step)."""
    named, written = keys.get("moe_layers"), keys.get("moe_layers_enum")
    if isinstance(written, str) and written:
        return {int(x) for x in written.split(",") if x.strip().isdigit()}
    return set(named) if isinstance(named, list) and named else None


def _by_step(keys: Keys, layer: int) -> bool:
    """DeepSeek: dense layers first; Qwen, Llama 4, ERNIE: each n-th layer; Jamba: n-th + offset."""
    if layer < max(keys.number("first_k_dense_replace"), _entry(keys, "moe_layer_start_index")):
        return False
    end = keys.get("moe_layer_end_index")
    last = max(end) if isinstance(end, list) else end
    if isinstance(last, int) and 0 <= last < layer:
        return False
    often = keys.get("moe_layer_freq")
    if isinstance(often, list):
        return bool(keys.at("moe_layer_freq", layer))
    if isinstance(often, int) and often > 1:
        return layer % often == 0
    period = keys.number("expert_layer_period")
    if period > 1:
        return layer % period == keys.number("expert_layer_offset")
    step = keys.number("decoder_sparse_step") or 1
    return (layer + 1) % step == 0


def _entry(keys: Keys, name: str) -> int:
    """A number, or the smallest of a list with one per kind of input."""
    value = keys.get(name)
    return min((int(x) for x in value), default=0) if isinstance(value, list) else keys.number(name)


def _dense(keys: Keys, layer: int, model_type: str) -> Dense:
    part = keys.part("ffn_config")
    size = keys.number("dense_intermediate_size") or keys.at("intermediate_size_mlp", layer)
    size = size or keys.at("intermediate_size", layer)
    size = size or part.number("intermediate_size") or _derived(keys, layer)
    size = size or 4 * keys.need("hidden_size")
    if keys.flag("block_auto_adjust_ff_dim"):
        size = _adjusted(keys, size)
    return Dense(size, _matrices(keys, model_type))


def _derived(keys: Keys, layer: int) -> int:
    """MPT: a multiple of the hidden size. OpenELM: one multiple per layer, rounded to a divisor."""
    hidden = keys.need("hidden_size")
    ratio = keys.get("expansion_ratio")
    if isinstance(ratio, int | float):
        return int(ratio * hidden)
    factors = keys.get("ffn_multipliers")
    if not isinstance(factors, list) or layer >= len(factors):
        return 0
    grain = keys.number("ffn_dim_divisor", default=1) or 1
    wanted = float(factors[layer]) * hidden
    near = max(grain, int(wanted + grain / 2) // grain * grain)
    return near + grain if near < 0.9 * wanted else near


def _adjusted(keys: Keys, size: int) -> int:
    """LFM2: two thirds, times a factor, rounded up to a multiple [src: lfm2.py]."""
    factor = keys.get("block_ffn_dim_multiplier")
    wanted = int((factor if isinstance(factor, int | float) else 1.0) * int(2 * size / 3))
    grain = keys.number("block_multiple_of", default=256) or 1
    return -(-wanted // grain) * grain


def _matrices(keys: Keys, model_type: str) -> int:
    plain = model_type.startswith(_PLAIN_FAMILIES) or keys.get("mlp_matrices") == _PLAIN
    return _PLAIN if plain else _GATED
