"""Compares the gateway's capacity plan with what the engine reports at its start."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from admission.planning.gpus import find_gpu
from admission.planning.memory.budget import MemoryPlan, plan_memory
from admission.planning.memory.engine.arguments import EngineArguments

WARN_RATIO = 0.05  # a larger error means that hardware was bought by a wrong plan
_ANY_GPU = "a10"  # the card has no effect if the memory is given

_log = logging.getLogger("sluice.plan")


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """Facts from a started engine; `kv_bytes` per rank, None if vLLM measured it."""

    config: Mapping[str, Any]  # config.json
    arguments: EngineArguments
    gpu: str | None  # the driver's name; None on a CPU
    kv_bytes: int | None
    blocks: int
    additional: Mapping[str, Any] = field(default_factory=dict)  # the options of a simulation


@dataclass(frozen=True, slots=True)
class PlanAgreement:
    """KV-cache blocks, planned and real."""

    engine_blocks: int
    memory: MemoryPlan

    @property
    def planned_blocks(self) -> int:
        """Expected by the plan."""
        return self.memory.expected.blocks

    @property
    def error_ratio(self) -> float:
        """Planned / real - 1."""
        return self.planned_blocks / self.engine_blocks - 1

    def as_json(self) -> dict[str, Any]:
        """For the admission state."""
        return {
            "planned_blocks": self.planned_blocks,
            "engine_blocks": self.engine_blocks,
            "error_ratio": round(self.error_ratio, 4),
        }


def compare(facts: EngineFacts) -> PlanAgreement | None:
    """Compares and logs; None, with the reason logged, if there is no plan."""
    if facts.gpu is None and facts.kv_bytes is None:
        _log.info("No capacity plan: vLLM itself chose how much memory its KV cache gets")
        return None
    try:
        plan = plan_memory(
            facts.config,
            find_gpu(facts.gpu or _ANY_GPU),
            facts.arguments,
            available_kv_bytes=facts.kv_bytes,
        )
    except ValueError as reason:
        _log.warning("No capacity plan: %s", reason)
        return None
    found = PlanAgreement(facts.blocks, plan)
    message = "KV cache: planned %d blocks, the engine has %d (error %+.1f %%)"
    level = logging.WARNING if abs(found.error_ratio) > WARN_RATIO else logging.INFO
    _log.log(level, message, found.planned_blocks, found.engine_blocks, 100 * found.error_ratio)
    return found
