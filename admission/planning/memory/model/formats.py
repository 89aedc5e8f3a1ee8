"""Number formats: bytes of a dtype, and how a quantisation stores weights."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from admission.planning.memory.model.checkpoint_format import weights_of_groups
from admission.planning.sentences import Sentence
from admission.terms.spelling import UnknownNameError

_DTYPE_BYTES = {
    "bfloat16": 2,
    "bf16": 2,
    "float16": 2,
    "fp16": 2,
    "half": 2,
    "float32": 4,
    "fp32": 4,
    "float": 4,
}
_KV_BYTES: dict[str, float] = {
    **dict.fromkeys(("fp8", "fp8_e4m3", "fp8_e5m2", "fp8_inc", "int8"), 1),
    **dict.fromkeys(("fp8_per_token_head", "int8_per_token_head"), 1),
    "int4_per_token_head": 0.5,
    **dict.fromkeys(("nvfp4", "nvfp4_4over6"), 0.5625),  # 4 bits, and an FP8 scale for each 16
}
# Bytes per token and layer of sparse MLA (DeepSeek V3.2): latent, scales and rotary part packed.
# Source: vLLM 0.32, MLAAttention.get_kv_cache_spec.
PACKED_LATENT_BYTES = {"fp8_ds_mla": 656, "nvfp4_ds_mla": 352}
_PACKED_NUMBERS = 576  # 512 of the latent and 64 of the rotary part


def dtype_bytes(dtype: str) -> int:
    """Bytes of a number; `auto` is 2: every checkpoint in the catalogue is stored in 16 bits."""
    name = dtype.strip().lower()
    if name in ("auto", ""):
        return 2
    if name not in _DTYPE_BYTES:
        raise UnknownNameError("dtype", dtype, ["auto", *_DTYPE_BYTES])
    return _DTYPE_BYTES[name]


def kv_scale_bytes(kv_cache_dtype: str) -> int:
    """Bytes of the scale that is stored with each key and each value of a head."""
    return 4 if kv_cache_dtype.strip().lower().endswith("_per_token_head") else 0


def kv_dtype_bytes(kv_cache_dtype: str, dtype: str) -> float:
    """Bytes of a number in the KV cache; `auto` follows the model's dtype."""
    name = kv_cache_dtype.strip().lower()
    if name in ("auto", ""):
        return dtype_bytes(dtype)
    if name in _KV_BYTES:
        return _KV_BYTES[name]
    if name in PACKED_LATENT_BYTES:
        return PACKED_LATENT_BYTES[name] / _PACKED_NUMBERS
    if name in _DTYPE_BYTES:
        return _DTYPE_BYTES[name]
    raise UnknownNameError(
        "KV-cache dtype", kv_cache_dtype, ["auto", *_KV_BYTES, *PACKED_LATENT_BYTES, *_DTYPE_BYTES]
    )


@dataclass(frozen=True, slots=True)
class WeightFormat:
    """How a linear layer's weight is stored in memory.

    Bytes = numbers x bits / 8, plus a scale of `scale_bytes` (and `zero_bits` of zero point) for
    each `group` numbers; group 0 = one scale per output row. `moe_only`: attention, shared parts
    and routers stay in the model's dtype (MXFP4 checkpoints). `block`: rows and columns that share
    a scale, for formats in which vLLM does not split a block over ranks.
    """

    name: str
    bits: int
    group: int = 0
    scale_bytes: int = 4
    zero_bits: int = 0
    moe_only: bool = False
    marlin: bool = False  # repacked for a 4-bit kernel that keeps a workspace
    block: tuple[int, int] | None = None

    @property
    def plain(self) -> bool:
        """Whether weights are stored in the model's dtype."""
        return self.bits == 0


FULL = WeightFormat("none", 0)
_FP8 = WeightFormat("fp8", 8)
_FP8_BLOCKS = WeightFormat("fp8", 8, group=128 * 128, block=(128, 128))
_MXFP8 = WeightFormat("fp8", 8, group=32, scale_bytes=1)
_INT8 = WeightFormat("int8", 8)
_AWQ = WeightFormat("awq", 4, group=128, scale_bytes=2, zero_bits=4, marlin=True)
_GPTQ = WeightFormat("gptq", 4, group=128, scale_bytes=2, marlin=True)
_MXFP4 = WeightFormat("mxfp4", 4, group=32, scale_bytes=1, moe_only=True)
_NVFP4 = WeightFormat("nvfp4", 4, group=16, scale_bytes=1)
_MXFP4_ALL = WeightFormat("mxfp4", 4, group=32, scale_bytes=1)
_BNB4 = WeightFormat("bitsandbytes", 4, group=64, scale_bytes=4)

_ALGORITHM_BITS = {
    **dict.fromkeys(("fp8", "fp8_per_channel_per_token", "fp8_pb_wo", "fp8_block_scales"), 8),
    **dict.fromkeys(("mxfp8", "int8_sq"), 8),
    **dict.fromkeys(("nvfp4", "w4a16_nvfp4", "w4a16_awq", "w4a8_awq"), 4),
}

# Spellings in profiles, vLLM's flag and start-up logs. None = the name does not fix the bits.
_SPELLINGS: dict[str, WeightFormat | None] = {
    "none": FULL,
    "fp16": FULL,
    "bf16": FULL,
    "fp8": _FP8,
    "w8a8-fp8": _FP8,
    "fbgemm_fp8": _FP8,
    "ptpc_fp8": _FP8,
    "fp8_per_tensor": _FP8,
    "fp8_per_channel": _FP8,
    "fp8_per_block": _FP8_BLOCKS,
    "mxfp8": _MXFP8,
    "modelopt_mxfp8": _MXFP8,
    "int8_per_channel_weight_only": _INT8,
    "int8": _INT8,
    "w8a8": _INT8,
    "w8a16": _INT8,
    "experts_int8": _INT8,
    "int4": _AWQ,
    "awq": _AWQ,
    "awq_marlin": _AWQ,
    "auto_awq": _AWQ,
    "moe_wna16": _AWQ,
    "gptq": _GPTQ,
    "gptq_marlin": _GPTQ,
    "auto_gptq": _GPTQ,
    "marlin": _GPTQ,
    "w4a16": _GPTQ,
    "auto_round": _GPTQ,
    "auto-round": _GPTQ,
    "auto_round int4": _GPTQ,
    "intel/auto-round": _GPTQ,
    "inc": _GPTQ,
    "mxfp4": _MXFP4,
    "gpt_oss_mxfp4": _MXFP4,
    "nvfp4": _NVFP4,
    "modelopt_fp4": _NVFP4,
    "nvfp4_per_token": _NVFP4,
    "compressed-tensors": None,
    "bitsandbytes": None,
    "modelopt": None,
    "modelopt_mixed": None,
    "quark": None,
    "torchao": None,
    "online": None,
}


def weight_format(
    quantization: str | None,
    quantization_config: Mapping[str, Any] | None,
    weight_bits: int | None = None,
) -> tuple[WeightFormat, str]:
    """The format of the weights, and a warning ("" = none).

    Order: a name that fixes the bits; the checkpoint's quantization_config; `weight_bits`; else 8
    with a warning. No name and no config: the model's own dtype.
    """
    own = str((quantization_config or {}).get("quant_method") or "none").lower()
    name = (quantization or "").strip().lower().split(" (")[0] or own
    if name not in _SPELLINGS:
        raise UnknownNameError("quantization", quantization or name, _SPELLINGS)
    fixed = _SPELLINGS[name]
    if fixed is not None:
        agrees = _SPELLINGS.get(own) is fixed
        return _refined(fixed, quantization_config if agrees else None), ""
    bits = bits_of(quantization_config) or weight_bits
    if bits is not None:
        chosen = _of_bits(name, bits, quantization_config)
        several = len({weights.get("num_bits") for weights in _groups(quantization_config)}) > 1
        warning = Sentence("bits_mixed", name=name, bits=bits) if several else ""
        return replace(chosen, moe_only=_spares_attention(quantization_config)), warning
    return _of_bits(name, 8, quantization_config), Sentence("bits_guessed", name=name)


def _groups(config: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    return weights_of_groups(config or {})


def bits_of(config: Mapping[str, Any] | None) -> int | None:
    """Bits per weight that a quantization_config states; None = not stated in any usual place."""
    if not config:
        return None
    for key in ("bits", "w_bit", "wbits", "num_bits"):
        if isinstance(config.get(key), int):
            return int(config[key])
    if config.get("load_in_4bit"):
        return 4
    if config.get("load_in_8bit"):
        return 8
    bits = [w["num_bits"] for w in weights_of_groups(config) if isinstance(w.get("num_bits"), int)]
    if bits or config.get("config_groups"):
        return max(bits) if bits else None
    algorithm = str(config.get("quant_algo", "")).lower()
    return _ALGORITHM_BITS.get(algorithm) or _quark_bits(config)


def _quark_bits(config: Mapping[str, Any]) -> int | None:
    """Bits of Quark's weights by the name of their dtype: fp8_e4m3, int8, int4, fp4."""
    common = config.get("global_quant_config")
    weight = common.get("weight") if isinstance(common, Mapping) else None
    first = weight[0] if isinstance(weight, list) and weight else weight
    dtype = str(first.get("dtype", "")) if isinstance(first, Mapping) else ""
    return next((bits for part, bits in (("8", 8), ("4", 4)) if part in dtype[:5]), None)


def _refined(base: WeightFormat, config: Mapping[str, Any] | None) -> WeightFormat:
    """The named format with the bits, group or block that the checkpoint states."""
    if not config or base.plain:
        return base
    block = config.get("weight_block_size")
    if base is _FP8 and block:
        return _of_block("fp8", block)
    stated, group = bits_of(config), _group(config)
    if not base.marlin or group is None:
        return base
    bits = stated or base.bits
    return replace(base, bits=bits, group=group)


def _group(config: Mapping[str, Any]) -> int | None:
    """Numbers that share a scale; 0 = a whole row, None = not stated."""
    places = [config, *weights_of_groups(config)]
    found = [place.get(key) for place in places for key in ("group_size", "q_group_size")]
    sizes = [x for x in found if isinstance(x, int) and not isinstance(x, bool)]
    return max(0, sizes[0]) if sizes else None


def _of_block(name: str, block: Any) -> WeightFormat:
    sides = [x for x in block if isinstance(x, int) and x > 0] if isinstance(block, list) else []
    if len(sides) != 2:  # noqa: PLR2004 -- rows and columns
        raise ValueError(f"config.json: weight_block_size {block!r} is not [rows, columns]")
    return WeightFormat(name, 8, group=sides[0] * sides[1], block=(sides[0], sides[1]))


def _of_bits(name: str, bits: int, config: Mapping[str, Any] | None) -> WeightFormat:
    said = config or {}
    weights = next(iter(weights_of_groups(said)), {})
    floating = weights.get("type") == "float" or "fp" in str(said.get("quant_algo", "")).lower()
    if bits >= 16:  # noqa: PLR2004 -- 16 bits and more are no quantisation
        return FULL
    if bits == 8:  # noqa: PLR2004 -- one byte, one scale per row or per block
        block = weights.get("block_structure") or said.get("weight_block_size")
        if str(said.get("quant_algo", "")).lower() in ("fp8_pb_wo", "fp8_block_scales"):
            block = [128, 128]
        called = "fp8" if floating else name
        return _of_block(called, block) if block else WeightFormat(called, 8)
    if name == "bitsandbytes":
        return _BNB4
    if floating:
        return _MXFP4_ALL if _group(said) == _MXFP4.group else _NVFP4
    group = _group(said)
    return WeightFormat(
        name, bits, group=128 if group is None else group, scale_bytes=2, marlin=True
    )


def _spares_attention(config: Mapping[str, Any] | None) -> bool:
    """Whether the checkpoint's list of unquantised layers names attention (experts-only format)."""
    ignored = (config or {}).get("ignore") or (config or {}).get("modules_to_not_convert") or ()
    return any("self_attn" in str(name) for name in ignored)
