"""Reads the scheduler's order for one step: its duration, and which sequences get a token."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Protocol

from admission.speed.step import StepContents


class Order(Protocol):
    """What is read of vLLM's SchedulerOutput."""

    num_scheduled_tokens: Mapping[str, int]
    scheduled_new_reqs: list[Any]  # NewRequestData: req_id, prompt_token_ids, num_computed_tokens
    scheduled_cached_reqs: Any  # CachedRequestData: req_ids and num_computed_tokens, side by side
    finished_req_ids: Iterable[str]


class Reading(NamedTuple):
    """One step: its contents for the step-time model, and the sequences that get a token in it."""

    contents: StepContents
    sampled: list[str]
    goes_on: bool  # whether anybody in it was in the step before


class StepReader:
    """Keeps the prompts' lengths, which the scheduler says only once."""

    def __init__(self, produced: Callable[[str], int]) -> None:
        self._produced = produced  # tokens a sequence has so far, by its id
        self._prompts: dict[str, int] = {}
        self._last: set[str] = set()

    def begin(self, order: Order) -> None:
        """Take note of those that are new."""
        for new in order.scheduled_new_reqs:
            self._prompts[new.req_id] = len(new.prompt_token_ids or ())

    def read(self, order: Order) -> Reading:
        """Sequences with all but one of their tokens computed decode; all others prefill."""
        decodes = decode_context = prefill = prefill_context = chunks = 0
        sampled: list[str] = []
        for key, computed in _computed(order):
            scheduled = order.num_scheduled_tokens[key]
            total = self._prompts[key] + self._produced(key)
            if scheduled == 1 and computed >= self._prompts[key]:
                decodes += 1
                decode_context += total
            else:
                chunks += 1
                prefill += scheduled
                prefill_context += computed
            if computed + scheduled >= total:
                sampled.append(key)
        contents = StepContents(decodes, decode_context, prefill, prefill_context, max(1, chunks))
        now = set(order.num_scheduled_tokens)
        goes_on = bool(now & self._last)
        self._last = now
        return Reading(contents, sampled, goes_on)

    def end(self, order: Order) -> None:
        """Forget those that are over."""
        for key in order.finished_req_ids:
            self._prompts.pop(key, None)


def _computed(order: Order) -> Iterable[tuple[str, int]]:
    """Tokens computed before this step, by sequence."""
    for new in order.scheduled_new_reqs:
        yield new.req_id, new.num_computed_tokens
    cached = order.scheduled_cached_reqs
    yield from zip(cached.req_ids, cached.num_computed_tokens, strict=True)
