"""Which of vLLM's two model runners an engine uses; they count memory differently."""

from admission.planning.memory.engine.arguments import Resolved
from admission.planning.memory.engine.versions import Version
from admission.planning.memory.model.model_shape import ModelShape

_FIRST = "qwen3for"  # 0.22: dense, not quantised
_NEXT = (_FIRST, "qwen3", "llama", "mistral")  # 0.23


def is_runner_v2(model: ModelShape, engine: Resolved) -> bool:
    """Whether runner V2 is the default.

    0.22: dense Qwen3; 0.23: also Llama and Mistral; neither if quantised. 0.25.1: all dense models;
    0.30: practically all [src]. 0.24 added quantised models of six architectures that our source
    does not name; we assume the families of 0.23.
    """
    version = engine.version
    if engine.engine_v0 or version < Version(22, 0):
        return False
    if version >= Version(30, 0):
        return True
    if model.layout_class != "dense":
        return False
    if version >= Version(25, 1):
        return True
    family = model.architecture.lower()
    if version < Version(23, 0):
        return family.startswith(_FIRST) and not is_quantised(model, engine)
    known = family.startswith(_NEXT)
    return known and (version >= Version(24, 0) or not is_quantised(model, engine))


def is_quantised(model: ModelShape, engine: Resolved) -> bool:
    """Whether the arguments or the checkpoint name a quantisation."""
    return (engine.given.quantization or "none") != "none" or bool(model.quantization_config)


def deducts_graphs(model: ModelShape, engine: Resolved) -> bool:
    """Whether vLLM deducts an estimate of the CUDA graphs from the KV memory.

    It does from 0.20.0 with runner V1, from 0.30 with V2 (0.29 not read), never without graphs
    [src].
    """
    if engine.given.enforce_eager or engine.version < Version(20, 0):
        return False
    return engine.version >= Version(30, 0) or not is_runner_v2(model, engine)
