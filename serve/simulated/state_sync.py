"""Applies skipped steps to vLLM's scheduler, so that its state is as if it had run them.

Uses the scheduler's and its cache's own calls, in their usual order: slots, tokens, then hashes
of full blocks; ended sequences leave last. Calls that would change nothing are left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from vllm.v1.core.sched.output import CachedRequestData, SchedulerOutput
from vllm.v1.outputs import ModelRunnerOutput
from vllm.v1.request import Request, RequestStatus

from admission.price.footprint import blocks_for
from serve.simulated.sequence import WORD


@dataclass(slots=True)
class Ordered:
    """An order in flight: tokens to compute by request, and the tokens it will yield."""

    tokens: dict[str, int] = field(default_factory=dict)
    said: dict[str, list[int]] = field(default_factory=dict)
    prompts: set[str] = field(default_factory=set)  # requests without a token so far

    def scheduled(self, like: SchedulerOutput) -> SchedulerOutput:
        """The same as vLLM's output, as far as the core reads it at the end of the step."""
        ids = list(self.tokens)
        cached = CachedRequestData(
            req_ids=ids,
            resumed_req_ids=set(),
            new_token_ids=[],
            all_token_ids={},
            new_block_ids=[],
            num_computed_tokens=[],
            num_output_tokens=[0 if key in self.prompts else 1 for key in ids],
        )
        return replace(
            like,
            scheduled_new_reqs=[],
            scheduled_cached_reqs=cached,
            num_scheduled_tokens=self.tokens,
            total_num_scheduled_tokens=sum(self.tokens.values()),
        )


def answered(tokens: Mapping[str, int], said: Mapping[str, list[int]]) -> ModelRunnerOutput:
    """A runner's answer to an order of `tokens` by request."""
    ids = list(tokens)
    return ModelRunnerOutput(
        req_ids=ids,
        req_id_to_index={key: place for place, key in enumerate(ids)},
        sampled_token_ids=[said.get(key, []) for key in ids],
    )


class StateSync:
    """Applies the computed state to one scheduler."""

    def __init__(self, scheduler: Any) -> None:
        self._scheduler = scheduler
        self._cache = scheduler.kv_cache_manager
        self._block_tokens: int = scheduler.block_size

    def decode(self, request: Request, *, orders: int, heard: int) -> None:
        """Applies `orders` of one token each, of which `heard` tokens have come back.

        One order is in flight: the last known token is not computed yet.
        """
        before = request.num_computed_tokens
        held = blocks_for(before, block_tokens=self._block_tokens)
        if before + orders > held * self._block_tokens:
            self._allocate(request, orders)
        request.append_output_token_ids([WORD] * heard)
        request.num_computed_tokens = before + orders
        known = before + heard - 1
        if known // self._block_tokens > (before - 1) // self._block_tokens:
            self._cache.cache_blocks(request, known)

    def compute(self, request: Request, computed_tokens: int) -> None:
        """Advances a prompt to `computed_tokens`, with the order in flight."""
        if computed_tokens > request.num_computed_tokens:
            self._allocate(request, computed_tokens - request.num_computed_tokens)
            request.num_computed_tokens = computed_tokens

    def _allocate(self, request: Request, tokens: int) -> None:
        if self._cache.allocate_slots(request, tokens) is None:
            raise RuntimeError("the scheduler has no blocks for steps that had some")

    def begin(self, request: Request) -> None:
        """Notes that the order in flight ends the prompt and yields the first token."""
        request.is_prefill_chunk = False
        request.num_output_placeholders = 1
        self._scheduler._inflight_prefills.discard(request)  # noqa: SLF001 - as when it orders it

    def finish(self, key: str) -> None:
        """Ends a request whose last token has come."""
        self._scheduler.finish_requests(key, RequestStatus.FINISHED_STOPPED)

    def on_its_way(self, ordered: Ordered) -> None:
        """Sets each request's count of tokens in flight."""
        requests = self._scheduler.requests
        for key, tokens in ordered.tokens.items():
            if key in requests:
                requests[key].num_in_flight_tokens = tokens
