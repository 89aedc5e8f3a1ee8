"""An engine on a virtual clock for tests of the lab: one token per sequence and step, no limits."""

from dataclasses import dataclass

from admission.price.footprint import EngineShape
from serve.engine_step import EngineStep, Finished
from serve.simulated.requests import EngineRequest
from tests.serve.fake_sequences import FakeSequence, one_token_each

SHAPE = EngineShape(
    usable_blocks=100,
    block_tokens=16,
    max_sequences=16,
    max_model_len=1024,
    max_batched_tokens=256,
    prefix_caching=False,
)


@dataclass(eq=False, kw_only=True)
class Running(FakeSequence):
    """One sequence, when it was added, and when its first token came."""

    added_at_s: float
    first_at_s: float | None = None

    def finished_at(self, now_s: float) -> Finished:
        assert self.first_at_s is not None
        return self.finished(
            prefill_s=self.first_at_s - self.added_at_s,
            tpot_s=(now_s - self.first_at_s) / max(1, self.generated - 1),
        )


class FakeVirtualEngine:
    """A step takes `step_s`; what is added meanwhile is in the next one."""

    def __init__(self, *, step_s: float = 0.1) -> None:
        self._step_s = step_s
        self._running: dict[str, Running] = {}
        self._in_step: list[Running] = []
        self.ends_at_s: float | None = None
        self.begun: list[str] = []
        self.most_at_once = 0

    def add(self, request: EngineRequest, now_s: float) -> None:
        self._running[request.engine_id] = Running(request, added_at_s=now_s)
        if self.ends_at_s is None:
            self._begin(now_s)

    def _begin(self, now_s: float) -> None:
        self._in_step = list(self._running.values())
        self.most_at_once = max(self.most_at_once, len(self._in_step))
        self.ends_at_s = now_s + self._step_s if self._in_step else None

    def finish_step(self) -> EngineStep:
        assert self.ends_at_s is not None
        now_s, stepped = self.ends_at_s, one_token_each(self._in_step)
        for each in stepped.begun:
            each.first_at_s = now_s
        for each in stepped.ended:
            del self._running[each.external_req_id]
        self.begun = [each.external_req_id for each in stepped.begun]
        step = EngineStep(
            running=dict(self._running),
            finished=tuple(each.finished_at(now_s) for each in stepped.ended),
            prefill_tokens=stepped.prefill_tokens,
            decode_tokens=len(self._in_step) - len(stepped.begun),
            elapsed_s=self._step_s,
            kv_used_ratio=0.5,
        )
        self._begin(now_s)
        return step
