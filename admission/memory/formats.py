"""Number formats: bytes of a dtype, and what a quantisation makes of a weight."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from admission.sentences import Sentence
from admission.spelling import UnknownNameError

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
_KV_BYTES = {"fp8": 1, "fp8_e4m3": 1, "fp8_e5m2": 1, "fp8_inc": 1, "int8": 1}


def dtype_bytes(dtype: str) -> int:
    """Bytes of a number; `auto` is 2, what every checkpoint in the catalogue is stored in."""
    name = dtype.strip().lower()
    if name in ("auto", ""):
        return 2
    if name not in _DTYPE_BYTES:
        raise UnknownNameError("dtype", dtype, ["auto", *_DTYPE_BYTES])
    return _DTYPE_BYTES[name]


def kv_dtype_bytes(kv_cache_dtype: str, dtype: str) -> int:
    """Bytes of a number in the KV cache; `auto` follows the model's dtype."""
    name = kv_cache_dtype.strip().lower()
    if name in ("auto", ""):
        return dtype_bytes(dtype)
    if name in _KV_BYTES:
        return _KV_BYTES[name]
    if name in _DTYPE_BYTES:
        return _DTYPE_BYTES[name]
    raise UnknownNameError("KV-cache dtype", kv_cache_dtype, ["auto", *_KV_BYTES, *_DTYPE_BYTES])


@dataclass(frozen=True, slots=True)
class WeightFormat:
    """How a linear layer's weight lies in memory.

    Bytes = numbers x bits / 8, plus a scale of `scale_bytes` (and `zero_bits` of zero point) for
    each `group` numbers; group 0 = one scale per output row. `moe_only`: attention, shared parts
    and routers stay in the model's dtype (MXFP4 checkpoints).
    """

    name: str
    bits: int
    group: int = 0
    scale_bytes: int = 4
    zero_bits: int = 0
    moe_only: bool = False
    marlin: bool = False  # repacked for a 4-bit kernel that keeps a workspace

    @property
    def plain(self) -> bool:
        """Whether weights are kept as the model's dtype."""
        return self.bits == 0


FULL = WeightFormat("none", 0)
_FP8 = WeightFormat("fp8", 8)
_FP8_BLOCKS = WeightFormat("fp8", 8, group=128 * 128)
_INT8 = WeightFormat("int8", 8)
_AWQ = WeightFormat("awq", 4, group=128, scale_bytes=2, zero_bits=4, marlin=True)
_GPTQ = WeightFormat("gptq", 4, group=128, scale_bytes=2, marlin=True)
_MXFP4 = WeightFormat("mxfp4", 4, group=32, scale_bytes=1, moe_only=True)
_NVFP4 = WeightFormat("nvfp4", 4, group=16, scale_bytes=1)
_BNB4 = WeightFormat("bitsandbytes", 4, group=64, scale_bytes=4)

# Spellings of the profile, of vLLM's flag and of start-up logs. None = the name leaves bits open.
_SPELLINGS: dict[str, WeightFormat | None] = {
    "none": FULL,
    "fp16": FULL,
    "bf16": FULL,
    "fp8": _FP8,
    "w8a8-fp8": _FP8,
    "fbgemm_fp8": _FP8,
    "ptpc_fp8": _FP8,
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
    "mxfp4": _MXFP4,
    "gpt_oss_mxfp4": _MXFP4,
    "nvfp4": _NVFP4,
    "modelopt_fp4": _NVFP4,
    "compressed-tensors": None,
    "bitsandbytes": None,
    "modelopt": None,
    "quark": None,
    "torchao": None,
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
    name = (quantization or "").strip().lower().split(" (")[0]
    if not name:
        name = str((quantization_config or {}).get("quant_method", "none")).lower()
    if name not in _SPELLINGS:
        raise UnknownNameError("quantization", quantization or name, _SPELLINGS)
    fixed = _SPELLINGS[name]
    if fixed is not None:
        return _refined(fixed, quantization_config), ""
    bits = bits_of(quantization_config) or weight_bits
    if bits is not None:
        chosen = _of_bits(name, bits, quantization_config)
        return replace(chosen, moe_only=_spares_attention(quantization_config)), ""
    return _of_bits(name, 8, quantization_config), Sentence("bits_guessed", name=name)


def bits_of(config: Mapping[str, Any] | None) -> int | None:
    """Bits per weight that a quantization_config states, in any of the usual places."""
    if not config:
        return None
    for key in ("bits", "w_bit", "wbits", "num_bits"):
        if isinstance(config.get(key), int):
            return int(config[key])
    if config.get("load_in_4bit"):
        return 4
    if config.get("load_in_8bit"):
        return 8
    groups = config.get("config_groups")
    if isinstance(groups, Mapping):
        found = [g.get("weights") or {} for g in groups.values() if isinstance(g, Mapping)]
        bits = [w["num_bits"] for w in found if isinstance(w.get("num_bits"), int)]
        return max(bits) if bits else None
    algorithm = str(config.get("quant_algo", "")).lower()
    return {"fp8": 8, "nvfp4": 4, "w4a16_awq": 4, "int8_sq": 8}.get(algorithm)


def _refined(base: WeightFormat, config: Mapping[str, Any] | None) -> WeightFormat:
    """The named format with the group size that the checkpoint states."""
    if not config or base.plain:
        return base
    if base is _FP8 and config.get("weight_block_size"):
        return _FP8_BLOCKS
    stated = config.get("bits")
    bits = int(stated) if base.marlin and isinstance(stated, int) else base.bits
    group = config.get("group_size")
    if not base.marlin or not isinstance(group, int):
        return base
    return WeightFormat(
        base.name, bits, max(0, group), base.scale_bytes, base.zero_bits, marlin=True
    )


def _of_bits(name: str, bits: int, config: Mapping[str, Any] | None) -> WeightFormat:
    if bits >= 16:  # noqa: PLR2004 -- 16 bits and more are no quantisation
        return FULL
    if bits == 8:  # noqa: PLR2004 -- one byte, one scale per row
        return WeightFormat(name, 8)
    if name == "bitsandbytes":
        return _BNB4
    if str((config or {}).get("quant_algo", "")).lower() == "nvfp4":
        return _NVFP4
    return WeightFormat(name, bits, group=128, scale_bytes=2, marlin=True)


def _spares_attention(config: Mapping[str, Any] | None) -> bool:
    """Whether the checkpoint's list of layers left alone names attention: experts-only formats."""
    ignored = (config or {}).get("ignore") or (config or {}).get("modules_to_not_convert") or ()
    return any("self_attn" in str(name) for name in ignored)
