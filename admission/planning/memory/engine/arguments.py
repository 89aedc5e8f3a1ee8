"""The engine arguments that memory depends on, and vLLM's defaults for them."""

from dataclasses import dataclass, fields

from admission.planning.gpus import Gpu
from admission.planning.memory.constants import MEASURED, Constants
from admission.planning.memory.engine.versions import (
    ASSUMED,
    Version,
    default_utilization,
    is_engine_v0,
    parse_version,
)

AUTO_LENGTH = -1  # max_model_len: the longest that the model supports and the memory holds
_LONG_CONTEXT_TOKENS = 32_768  # V0 chunks prompts only beyond this [src]


@dataclass(frozen=True, slots=True)
class EngineArguments:
    """The arguments as given, under vLLM's names; None = not given."""

    tensor_parallel_size: int = 1
    pipeline_parallel_size: int = 1
    gpu_memory_utilization: float | None = None
    max_model_len: int | None = None
    max_num_seqs: int | None = None
    max_num_batched_tokens: int | None = None
    block_size: int | None = None
    quantization: str | None = None
    weight_bits: int | None = None  # ours: bits per weight if the name does not fix them
    dtype: str = "auto"
    kv_cache_dtype: str = "auto"
    enforce_eager: bool = False
    enable_prefix_caching: bool = True
    num_speculative_tokens: int = 0
    draft_layers: int = 0  # full-attention layers of a draft head (MTP: 1)
    decode_context_parallel_size: int = 1
    vllm_version: str | None = None  # None: the release this project pins
    not_counted: tuple[str, ...] = ()  # ours: effects of other arguments, in words


ENGINE_KEYS = frozenset(field.name for field in fields(EngineArguments)) - {"not_counted"}


@dataclass(frozen=True, slots=True)
class Resolved:
    """The arguments after defaults; every formula of this package reads them."""

    given: EngineArguments
    version: Version
    gpu: Gpu
    engine_v0: bool
    tp: int
    pp: int
    utilization_ratio: float
    max_model_len: int
    max_sequences: int
    max_batched_tokens: int
    block_tokens: int
    constants: Constants = MEASURED


def resolve(
    given: EngineArguments,
    gpu: Gpu,
    model_context_tokens: int,
    constants: Constants = MEASURED,
) -> Resolved:
    """The arguments with the defaults of this release and card; ValueError for impossible values.

    Source of the defaults: `default_batched_tokens`, `default_sequences`, versions.py.
    """
    _refuse_impossible(given)
    version = parse_version(given.vllm_version or ASSUMED)
    engine_v0 = is_engine_v0(version, gpu.compute_capability)
    context = model_context_tokens
    if given.max_model_len is not None and given.max_model_len != AUTO_LENGTH:
        context = given.max_model_len
    if context < 1:
        raise ValueError("max_model_len: the model does not state its context; give one")
    sequences = given.max_num_seqs or default_sequences(version, gpu)
    batched = given.max_num_batched_tokens or default_batched_tokens(
        version, gpu, context_tokens=context
    )
    return Resolved(
        given=given,
        version=version,
        gpu=gpu,
        engine_v0=engine_v0,
        tp=given.tensor_parallel_size,
        pp=given.pipeline_parallel_size,
        utilization_ratio=given.gpu_memory_utilization or default_utilization(version),
        max_model_len=context,
        max_sequences=min(sequences, batched),
        max_batched_tokens=batched,
        block_tokens=given.block_size or 16,  # vLLM's own size on GPUs [src]
        constants=constants,
    )


def default_sequences(version: Version, gpu: Gpu) -> int:
    """max_num_seqs: 256; from 0.9.2 1,024 on cards with at least 70 GiB, except A100 [src]."""
    return 1024 if gpu.is_large and version >= Version(9, 2) else 256


def default_batched_tokens(version: Version, gpu: Gpu, *, context_tokens: int) -> int:
    """max_num_batched_tokens of the API server [src].

    V0: the whole context, at least 2,048, since it does not chunk prompts; 2,048 beyond 32k.
    V1: 2,048; 8,192 on large cards; from 0.33 16,384 on cards with at least 160 GiB.
    """
    if is_engine_v0(version, gpu.compute_capability):
        return max(2048, context_tokens) if context_tokens <= _LONG_CONTEXT_TOKENS else 2048
    huge_gib = 160
    if version >= Version(33, 0) and gpu.total_gib >= huge_gib:
        return 16_384
    return 8192 if gpu.is_large else 2048


def _refuse_impossible(given: EngineArguments) -> None:
    """Raises a ValueError for a value that no engine accepts."""
    ratio = given.gpu_memory_utilization
    if ratio is not None and not 0 < ratio <= 1:
        raise ValueError(f"gpu_memory_utilization {ratio} is not in (0, 1]")
    for name in (
        "tensor_parallel_size",
        "pipeline_parallel_size",
        "max_model_len",
        "max_num_seqs",
        "max_num_batched_tokens",
        "block_size",
        "decode_context_parallel_size",
    ):
        value = getattr(given, name)
        is_auto = name == "max_model_len" and value == AUTO_LENGTH
        if value is not None and value < 1 and not is_auto:
            raise ValueError(f"{name} {value} is not positive")
