"""One step as the engine reports it to the gate."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from admission.exchange import StepFacts


class RunningState(Protocol):
    """What vLLM's front end keeps of one unfinished sequence."""

    external_req_id: str
    request_index: int
    stats: Any  # RequestStateStats | None: num_generation_tokens, num_preemptions


@dataclass(frozen=True, slots=True)
class Finished:
    """A sequence that ended by itself (`stop`, `length`) or by a fault; modelled seconds."""

    engine_id: str
    output_tokens: int
    reason: str
    queued_s: float
    prefill_s: float
    tpot_s: float
    preemptions: int


@dataclass(frozen=True, slots=True)
class EngineStep(StepFacts):
    """One step in sequences of the engine; `running` is by vLLM's own ids."""

    running: Mapping[str, RunningState]
    finished: tuple[Finished, ...] = ()
