"""Memory besides weights and activations: CUDA's context, NCCL, workspaces, CUDA graphs."""

from admission.planning.memory.engine.arguments import Resolved
from admission.planning.memory.engine.runner import deducts_graphs
from admission.planning.memory.engine.versions import Version
from admission.planning.memory.estimate import GIB, NOTHING, Estimate
from admission.planning.memory.model.model_shape import ModelShape

_HOPPER = 9.0  # compute capability from which the fused all-reduce and its workspace exist
_BLACKWELL_CARD = 12.0  # workstation cards: no NVLink, no such workspace


def non_torch(engine: Resolved) -> Estimate:
    """Bytes on the device that torch did not allocate and that vLLM deducts from the budget.

    V0: the increase during profiling. V1 to 0.9.0: everything on the device, context included.
    0.9.1-0.10: the increase from before NCCL starts. From 0.11: the increase after NCCL has
    started, so context and NCCL are in the share outside gpu_memory_utilization; FlashInfer's
    all-reduce workspace, on NVLink cards from Hopper on, is inside it. Sources: the logged column
    non_torch per release; for PCIe four starts on L40S, which log 0.0.
    """
    low, expected, high = _non_torch_gib(engine)
    return Estimate(low, expected, high).times(GIB)


def _non_torch_gib(engine: Resolved) -> tuple[float, float, float]:
    ranks, version = engine.tp, engine.version
    nvlink = engine.gpu.nvlink
    if engine.engine_v0:
        if ranks == 1:
            return 0.01, 0.09, 0.35
        return (0.2, 2.1, 3.6) if nvlink and ranks > 4 else (0.2, 0.25, 0.35)  # noqa: PLR2004
    if version < Version(9, 1):
        return (0.4, 0.6, 1.0) if ranks == 1 else (0.6, 1.0, 1.8)
    if version < Version(11, 0):
        return (0.1, 0.18, 0.4) if ranks == 1 else (0.2, 0.35, 1.4)
    return _since_0_11(engine, later=version >= Version(18, 0))


def _since_0_11(engine: Resolved, *, later: bool) -> tuple[float, float, float]:
    """Low, expected, high GiB; `later` = from 0.18, which logs 0.12 GiB more and the workspace."""
    known = engine.constants
    if engine.tp == 1 and engine.pp > 1:
        return 0.05, 0.07, 0.3
    if engine.tp == 1:
        usual = known.late_non_torch_gib if later else known.early_non_torch_gib
        return 0.6 * usual, usual, 2.0 * usual
    if not engine.gpu.nvlink:
        rise = known.late_non_torch_gib - known.early_non_torch_gib if later else 0.0
        return 0.0, rise, rise + 0.3
    if later and _HOPPER <= engine.gpu.compute_capability < _BLACKWELL_CARD:
        usual = known.fused_non_torch_gib
        return usual - 0.2, usual, usual + 0.3
    return 0.3, known.nvlink_non_torch_gib, 0.7


def cuda_graphs(model: ModelShape, engine: Resolved) -> Estimate:
    """Bytes that vLLM deducts from the budget for CUDA graphs; 0 unless `deducts_graphs`.

    vLLM measures a few captures and extrapolates. One host gave 0.62, 0.86, 1.59 and 7.34 GiB for
    the same flags, so the range is 0.2 to 1.6, 0.6 expected (estimates logged on H100: 0.5-1.9).
    """
    if not deducts_graphs(model, engine):
        return NOTHING
    return Estimate(0.2, 0.6, 1.6).times(GIB)


def cuda_graphs_outside(model: ModelShape, engine: Resolved) -> Estimate:
    """Bytes that CUDA graphs take outside the budget, after the KV cache is allocated.

    0.4 to 2.2 GiB, 0.9 expected [logged captures]; 0 if graphs are deducted or switched off.
    """
    if engine.given.enforce_eager or deducts_graphs(model, engine):
        return NOTHING
    return Estimate(0.4, 0.9, 2.2).times(GIB)
