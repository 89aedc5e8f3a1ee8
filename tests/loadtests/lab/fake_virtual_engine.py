"""An engine on a virtual clock for tests of the lab: one token per sequence and step, no limits."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from admission.price.footprint import EngineShape
from serve.engine_step import EngineStep, Finished
from serve.simulated.requests import EngineRequest

SHAPE = EngineShape(
    usable_blocks=100,
    block_tokens=16,
    max_sequences=16,
    max_model_len=1024,
    max_batched_tokens=256,
    prefix_caching=False,
)


@dataclass(eq=False)
class Running:
    """One sequence, as vLLM's front end keeps it."""

    request: EngineRequest
    added_at_s: float
    first_at_s: float | None = None
    request_index: int = 0
    stats: Any = field(default_factory=lambda: SimpleNamespace(num_generation_tokens=0))

    @property
    def external_req_id(self) -> str:
        return self.request.engine_id


class FakeVirtualEngine:
    """A prompt is computed whole in the step in which its first token comes."""

    def __init__(self, *, step_s: float = 0.1) -> None:
        self._step_s = step_s
        self._running: dict[str, Running] = {}
        self._in_step: list[str] = []
        self.ends_at_s: float | None = None
        self.begun: list[str] = []
        self.most_at_once = 0

    def add(self, request: EngineRequest, now_s: float) -> None:
        self._running[request.engine_id] = Running(request, now_s)
        if self.ends_at_s is None:
            self._begin(now_s)

    def _begin(self, now_s: float) -> None:
        self._in_step = list(self._running)
        self.most_at_once = max(self.most_at_once, len(self._in_step))
        self.ends_at_s = now_s + self._step_s if self._in_step else None

    def finish_step(self) -> EngineStep:
        assert self.ends_at_s is not None
        now_s, finished, self.begun, prefill = self.ends_at_s, [], [], 0
        for key in self._in_step:
            each = self._running[key]
            each.stats.num_generation_tokens += 1
            if each.first_at_s is None:
                each.first_at_s = now_s
                self.begun.append(key)
                prefill += each.request.prompt_tokens
            tokens = each.stats.num_generation_tokens
            if tokens >= min(each.request.output_tokens, each.request.max_tokens):
                finished.append(self._finished(key, now_s))
        step = EngineStep(
            running=dict(self._running),
            finished=tuple(finished),
            prefill_tokens=prefill,
            decode_tokens=len(self._in_step) - len(self.begun),
            elapsed_s=self._step_s,
            kv_used_ratio=0.5,
        )
        self._begin(now_s)
        return step

    def _finished(self, key: str, now_s: float) -> Finished:
        each = self._running.pop(key)
        assert each.first_at_s is not None
        tokens = each.stats.num_generation_tokens
        return Finished(
            engine_id=key,
            output_tokens=tokens,
            reason="stop" if tokens == each.request.output_tokens else "length",
            queued_s=0.0,
            prefill_s=each.first_at_s - each.added_at_s,
            tpot_s=(now_s - each.first_at_s) / max(1, tokens - 1),
            preemptions=0,
        )
