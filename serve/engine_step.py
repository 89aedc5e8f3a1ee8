"""One step as the engine reports it to the gate."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol


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
class EngineStep:
    """One step as the engine reports it, in modelled seconds.

    `kv_used_ratio` (0-1) is None where it did not say; `age_s` is the time from the engine to here.
    """

    running: Mapping[str, RunningState]
    finished: tuple[Finished, ...] = ()
    prefill_tokens: int = 0
    cached_tokens: int = 0
    decode_tokens: int = 0
    elapsed_s: float = 0.0
    kv_used_ratio: float | None = None
    age_s: float = 0.0
    preempted: int = 0
