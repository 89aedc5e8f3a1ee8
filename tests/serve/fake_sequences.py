"""Sequences of engines without weights: in each step that they are in they get one token."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Generic, TypeVar

from serve.engine_step import Finished
from serve.simulated.requests import EngineRequest


@dataclass(eq=False)
class FakeSequence:
    """One sequence, as vLLM's front end keeps it."""

    request: EngineRequest
    request_index: int = 0
    stats: Any = field(default_factory=lambda: SimpleNamespace(num_generation_tokens=0))

    @property
    def external_req_id(self) -> str:
        return self.request.engine_id

    @property
    def generated(self) -> int:
        """Tokens so far."""
        return int(self.stats.num_generation_tokens)

    @property
    def complete(self) -> bool:
        return self.generated >= min(self.request.output_tokens, self.request.max_tokens)

    def finished(self, *, prefill_s: float = 0.0, tpot_s: float = 0.0) -> Finished:
        """What the engine reports at its end."""
        return Finished(
            engine_id=self.external_req_id,
            output_tokens=self.generated,
            reason="stop" if self.generated == self.request.output_tokens else "length",
            queued_s=0.0,
            prefill_s=prefill_s,
            tpot_s=tpot_s,
            preemptions=0,
        )


_Sequence = TypeVar("_Sequence", bound=FakeSequence)


@dataclass(frozen=True)
class Stepped(Generic[_Sequence]):
    """Whose first token a step made, and whose last."""

    begun: list[_Sequence]
    ended: list[_Sequence]

    @property
    def prefill_tokens(self) -> int:
        """A prompt is computed whole in the step in which its first token comes."""
        return sum(each.request.prompt_tokens for each in self.begun)


def one_token_each(sequences: Iterable[_Sequence]) -> Stepped[_Sequence]:
    """What a step did that gave one token to each."""
    begun, ended = [], []
    for each in sequences:
        each.stats.num_generation_tokens += 1
        if each.generated == 1:
            begun.append(each)
        if each.complete:
            ended.append(each)
    return Stepped(begun, ended)
