"""An engine without weights for tests of the gate: one token per running sequence and step."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from admission.price.footprint import EngineShape, PromptShape, RequestShape
from serve.engine_step import EngineStep
from serve.gate.gate import Gate
from serve.simulated.requests import EngineRequest
from serve.visit import Visit
from tests.serve.fake_sequences import FakeSequence, one_token_each

SHAPE = EngineShape(
    usable_blocks=40,
    block_tokens=16,
    max_sequences=8,
    max_model_len=256,
    max_batched_tokens=512,
    prefix_caching=False,
)


@dataclass(eq=False)
class Running(FakeSequence):
    """One sequence, and where its tokens come out; None is the end."""

    tokens: asyncio.Queue[int | None] = field(default_factory=asyncio.Queue)


class FakeEngine:
    """Steps when told; `gate` hears of each step as it hears of vLLM's."""

    def __init__(self) -> None:
        self.shape = SHAPE
        self.errored = False
        self.gate: Gate | None = None
        self.running: dict[str, Running] = {}
        self.aborted: list[str] = []
        self.killed = False
        self.answers_pings = True

    @property
    def unfinished(self) -> int:
        return len(self.running)

    async def models(self) -> list[dict[str, Any]]:
        return []

    async def ping(self) -> None:
        if not self.answers_pings:
            await asyncio.get_running_loop().create_future()

    def kill(self) -> None:
        self.killed = self.errored = True

    async def abort(self, engine_ids: Sequence[str]) -> int:
        await asyncio.sleep(0)
        alive = [engine_id for engine_id in engine_ids if engine_id in self.running]
        for engine_id in alive:
            self.running.pop(engine_id).tokens.put_nowait(None)
        self.aborted += alive
        return len(alive)

    async def shape_of_body(
        self, route: str, body: dict[str, Any], *, waits: Callable[[], None]
    ) -> RequestShape:
        return RequestShape(prompts=(PromptShape(16, 16),))

    def fault_in(self, route: str, body: dict[str, Any]) -> str | None:
        return None

    async def generate(self, visit: Visit, prompt_tokens: int, wanted: int) -> AsyncIterator[int]:
        """As vLLM's leased client does: the visit knows the request before it starts."""
        assert self.gate is not None
        assert visit.lease_id is not None
        assert not visit.released
        engine_id = f"{visit.request_id}-engine"
        visit.engine_ids.append(engine_id)
        self.gate.starting(visit, engine_id, RequestShape((PromptShape(1, 1),)))
        request = EngineRequest(engine_id, prompt_tokens, wanted, max_tokens=wanted)
        sequence = self.running[engine_id] = Running(request)
        while (token := await sequence.tokens.get()) is not None:
            yield token

    def step(self) -> None:
        """One token for everybody; those that have enough are finished."""
        assert self.gate is not None
        stepped = one_token_each(self.running.values())
        for each in self.running.values():
            each.tokens.put_nowait(each.generated)
        for each in stepped.ended:
            self.running.pop(each.external_req_id).tokens.put_nowait(None)
        finished = tuple(each.finished() for each in stepped.ended)
        prefill_tokens = stepped.prefill_tokens
        self.gate.stepped(EngineStep(dict(self.running), finished, prefill_tokens=prefill_tokens))
