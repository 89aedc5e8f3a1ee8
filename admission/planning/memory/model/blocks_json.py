"""Nemotron-NAS: `block_configs` lists, per layer, which parts were removed and the other widths."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from admission.planning.memory.model.keys import Keys
from admission.planning.memory.model.model_shape import Absent, Attention, Dense, Layer, Mixer, Mlp

_GRAIN = 256  # feed-forward widths are rounded up to this [src: nemotron_nas.py]


def with_blocks(layers: tuple[Layer, ...], keys: Keys) -> tuple[Layer, ...]:
    """The layers with `block_configs` applied; ValueError for an unknown kind of block."""
    blocks = keys.get("block_configs")
    if not blocks:
        return layers
    if not isinstance(blocks, list) or len(blocks) < len(layers):
        raise ValueError("config.json: block_configs is no list with one entry per layer")
    hidden = keys.need("hidden_size")
    return tuple(_layer(x, block, hidden) for x, block in zip(layers, blocks, strict=False))


def _layer(layer: Layer, block: Any, hidden: int) -> Layer:
    attention = block.get("attention") if isinstance(block, Mapping) else None
    feeding = block.get("ffn") if isinstance(block, Mapping) else None
    if not isinstance(attention, Mapping) or not isinstance(feeding, Mapping):
        raise ValueError("config.json: block_configs without attention and ffn are not understood")
    return Layer(_mixer(layer.mixer, attention), _mlp(layer.mlp, feeding, hidden))


def _mixer(mixer: Mixer, block: Mapping[str, Any]) -> Mixer:
    if block.get("no_op") or block.get("replace_with_linear"):
        return Absent()
    shared = block.get("n_heads_in_group")
    if isinstance(mixer, Attention) and isinstance(shared, int) and shared > 0:
        return replace(mixer, kv_heads=mixer.heads // shared)
    return mixer


def _mlp(mlp: Mlp, block: Mapping[str, Any], hidden: int) -> Mlp:
    if block.get("no_op"):
        return Dense(0)
    factor, stated = block.get("ffn_mult"), block.get("intermediate_size")
    if isinstance(stated, int):
        return Dense(stated)
    if isinstance(factor, int | float):
        return Dense(-(-int(2 * factor * hidden / 3) // _GRAIN) * _GRAIN)
    return mlp
