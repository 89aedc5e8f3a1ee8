"""Parameters that an image encoder adds to a language model."""

from collections.abc import Mapping
from typing import Any


def vision_parameters(config: Mapping[str, Any], text_hidden: int) -> int:
    """Parameters of the image encoder and its projector; 0 for text-only models.

    The catalogue's own key `vision_parameters` states them. Otherwise they are counted as a
    transformer from `vision_config`: layers x (4 h^2 + 2 h i), patches p^2 x 3 x h, and a
    projection h x text hidden.
    """
    stated = config.get("vision_parameters")
    if isinstance(stated, int):
        return stated
    thinker = config.get("thinker_config")
    within = thinker if isinstance(thinker, Mapping) else config
    vision = within.get("vision_config")
    if not isinstance(vision, Mapping):
        return 0
    hidden = _first(vision, "hidden_size", "embed_dim", "width")
    layers = _first(vision, "num_hidden_layers", "depth", "num_layers", "layers")
    inner = _first(vision, "intermediate_size") or 4 * hidden
    patch = _first(vision, "patch_size", "spatial_patch_size") or 14
    own = layers * (4 * hidden**2 + 2 * hidden * inner) + 3 * patch**2 * hidden
    return own + hidden * text_hidden


def _first(config: Mapping[str, Any], *keys: str) -> int:
    return next((int(config[key]) for key in keys if isinstance(config.get(key), int)), 0)
