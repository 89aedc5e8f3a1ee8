"""The engine client that vLLM's handlers see: every request it starts belongs to a lease."""

import logging
from collections.abc import AsyncGenerator
from typing import Any, Protocol

from vllm.sampling_params import SamplingParams
from vllm.v1.engine.async_llm import AsyncLLM

from admission.price.footprint import PromptShape, RequestShape
from admission.terms.decision import Rejected
from serve.engine.grammars import Grammars
from serve.engine.prefix_hasher import PrefixHasher
from serve.engine_step import EngineStep
from serve.visit import VISIT, Visit

_log = logging.getLogger("sluice.engine")


class Keeper(Protocol):
    """The gate as the engine adapters see it: it decides on every request before it runs."""

    def rendered(self, visit: Visit) -> None:
        """The prompt is rendered; what is left before `admit` runs in other threads."""

    async def admit(self, visit: Visit, shape: RequestShape) -> bool:
        """Wait for a lease; False when refused (the verdict is on the visit)."""

    def refuse(self, visit: Visit, refusal: Rejected) -> None:
        """Put a verdict on the visit and count it."""

    def starting(self, visit: Visit, engine_id: str, shape: RequestShape) -> None:
        """An engine request of this visit's lease is about to start."""

    def unleased(self) -> None:
        """An engine call came without a lease and was refused."""

    def stepped(self, step: EngineStep) -> None:
        """One step of the engine is done."""

    def step_lost(self) -> None:
        """A step record could not be read; the ledger did not follow it."""


class UnleasedCallError(RuntimeError):
    """An engine call outside any lease: a path that bypasses admission. Fails closed."""


class LeasedClient:
    """Delegates to AsyncLLM; `generate` notes its request id on the visit or refuses.

    The hooks ask it for the rest: `hasher` name prompts, None where nothing is found in a cache;
    `grammars` look at structured outputs; `logprobs` says whether the engine has any.
    """

    def __init__(
        self,
        client: AsyncLLM,
        keeper: Keeper,
        grammars: Grammars,
        *,
        hasher: PrefixHasher | None = None,
        logprobs: bool = True,
    ) -> None:
        self._client = client
        self._keeper = keeper
        self.grammars = grammars
        self.hasher = hasher
        self.logprobs = logprobs

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def generate(
        self, prompt: Any, sampling_params: SamplingParams, request_id: str, **rest: Any
    ) -> AsyncGenerator[Any, None]:
        """AsyncLLM.generate under the lease of the request being served."""
        visit = VISIT.get()
        if visit is None or visit.lease_id is None or visit.released:
            self._keeper.unleased()
            _log.error("engine call %s without a lease was refused", request_id)
            raise UnleasedCallError(f"engine call {request_id} has no lease")
        visit.engine_ids.append(request_id)
        self._keeper.starting(visit, request_id, _shape(prompt, sampling_params))
        started: AsyncGenerator[Any, None] = self._client.generate(
            prompt, sampling_params, request_id, **rest
        )
        return started

    def encode(self, *_: Any, **__: Any) -> Any:
        """Refused: pooling requests have no price and no route."""
        self._keeper.unleased()
        raise UnleasedCallError("pooling requests are not served")


def _shape(prompt: Any, params: SamplingParams) -> RequestShape:
    """One rendered prompt as the engine will run it."""
    tokens = PromptShape(len(prompt["prompt_token_ids"]), max(1, params.max_tokens or 1))
    return RequestShape((tokens,), sequences=params.n, front_end_stops=bool(params.stop))
