"""The number formats that a checkpoint states, normalised to one spelling.

Follows vLLM (`ModelArchConfigConvertorBase.get_quantization_config`): `quantization_config`, its
other name `compression_config`, and ModelOpt's `quantization` inside either.
"""

from collections.abc import Mapping
from typing import Any

Config = Mapping[str, Any]

_MODELOPT = {
    "fp8": "modelopt",
    "fp8_per_channel_per_token": "modelopt",
    "fp8_pb_wo": "modelopt",
    "nvfp4": "modelopt_fp4",
}
_MODELOPT_KV = {"fp8": "fp8_e4m3", "nvfp4": "nvfp4"}


def quantization_config(*sources: Config) -> dict[str, Any] | None:
    """The first source's quantisation, flattened, with vLLM's `quant_method`; None = none.

    ValueError for a ModelOpt algorithm that vLLM does not load, or a section that is not a mapping.
    """
    for source in sources:
        for key in ("quantization_config", "compression_config"):
            stated = source.get(key)
            if isinstance(stated, Mapping):
                return _flat(stated)
            if stated is not None:
                raise ValueError(f"config.json: {key} is not an object with keys")
    return None


def _flat(stated: Config) -> dict[str, Any]:
    inner = stated.get("quantization")
    flat = {**(inner if isinstance(inner, Mapping) else {}), **stated}
    method = str(stated.get("quant_method") or "").lower()
    producer = stated.get("producer")
    if isinstance(producer, Mapping) and producer.get("name") == "modelopt":
        algorithm = flat.get("quant_algo")
        if algorithm is not None:
            method = _modelopt_method(str(algorithm))
    flat["quant_method"] = method.replace("compressed_tensors", "compressed-tensors")
    return flat


def _modelopt_method(algorithm: str) -> str:
    if algorithm.lower() not in _MODELOPT:
        known = ", ".join(name.upper() for name in _MODELOPT)
        raise ValueError(f"vLLM does not load ModelOpt's {algorithm} from a file; it knows {known}")
    return _MODELOPT[algorithm.lower()]


def kv_cache_dtype(quantization: Config | None) -> str:
    """The dtype to which the checkpoint sets `kv_cache_dtype: auto`; "" = the model's own dtype.

    ModelOpt names the algorithm. compressed-tensors has a scheme, of which vLLM accepts only 8-bit
    floats (`resolve_kv_cache_dtype_string`, `Attention.__init__`). ValueError for another scheme.
    """
    if quantization is None:
        return ""
    method = str(quantization.get("quant_method"))
    scheme = quantization.get("kv_cache_scheme")
    if method.startswith("modelopt"):
        return _modelopt_kv(scheme or quantization.get("kv_cache_quant_algo"))
    if method != "compressed-tensors" or not isinstance(scheme, Mapping):
        return ""
    if scheme.get("type") != "float" or scheme.get("num_bits") != 8:  # noqa: PLR2004 -- one byte
        stated = f"{scheme.get('num_bits')}-bit {scheme.get('type')}"
        raise ValueError(f"config.json: kv_cache_scheme is {stated}; vLLM loads only 8-bit float")
    return "fp8"


def _modelopt_kv(said: Any) -> str:
    if isinstance(said, Mapping):
        is_float = said.get("type") == "float"
        if is_float and said.get("num_bits") == 8 and said.get("dynamic") is False:  # noqa: PLR2004
            return "fp8"
        return "nvfp4" if is_float and said.get("num_bits") == 4 else ""  # noqa: PLR2004
    return _MODELOPT_KV.get(str(said).lower(), "")


def weights_of_groups(quantization: Config) -> list[Config]:
    """The `weights` of each group of layers in a compressed-tensors config."""
    groups = quantization.get("config_groups")
    if not isinstance(groups, Mapping):
        return []
    found = [group.get("weights") for group in groups.values() if isinstance(group, Mapping)]
    return [weights for weights in found if isinstance(weights, Mapping)]
