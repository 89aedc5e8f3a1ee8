"""What the scheduler orders is read as prompts, decodes, and who gets a token."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from serve.simulated.steps import StepReader


@dataclass
class Order:
    """As vLLM's SchedulerOutput: new ones are (id, prompt tokens, computed)."""

    num_scheduled_tokens: dict[str, int]
    new: list[tuple[str, int, int]] = field(default_factory=list)
    old: list[tuple[str, int]] = field(default_factory=list)  # id, computed
    finished_req_ids: set[str] = field(default_factory=set)

    @property
    def scheduled_new_reqs(self) -> list[Any]:
        return [
            SimpleNamespace(req_id=key, prompt_token_ids=[0] * prompt, num_computed_tokens=computed)
            for key, prompt, computed in self.new
        ]

    @property
    def scheduled_cached_reqs(self) -> Any:
        return SimpleNamespace(
            req_ids=[key for key, _ in self.old],
            num_computed_tokens=[computed for _, computed in self.old],
        )


def test_a_prompt_in_chunks_then_decoding() -> None:
    produced = {"a": 0, "b": 0}
    reader = StepReader(produced.__getitem__)

    order = Order({"a": 64}, new=[("a", 100, 0)])
    reader.begin(order)
    first = reader.read(order)
    assert (first.contents.prefill_tokens, first.contents.prefill_context_tokens) == (64, 0)
    assert (first.sampled, first.goes_on) == ([], False)

    order = Order({"a": 36, "b": 20}, new=[("b", 50, 30)], old=[("a", 64)])
    reader.begin(order)
    second = reader.read(order)
    assert (second.contents.prefill_tokens, second.contents.prefill_chunks) == (56, 2)
    assert second.contents.prefill_context_tokens == 64 + 30
    assert (second.sampled, second.goes_on) == (["b", "a"], True)
    produced |= {"a": 1, "b": 1}

    third = reader.read(Order({"a": 1, "b": 1}, old=[("a", 100), ("b", 50)]))
    assert third.contents.decode_sequences == 2
    assert third.contents.decode_context_tokens == 101 + 51
    assert (third.contents.prefill_tokens, third.sampled) == (0, ["a", "b"])


def test_a_preempted_sequence_computes_its_prompt_and_its_answer_again() -> None:
    reader = StepReader({"a": 40}.__getitem__)
    reader.begin(Order({}, new=[("a", 100, 0)]))
    again = reader.read(Order({"a": 64}, old=[("a", 0)]))
    assert (again.contents.prefill_tokens, again.sampled) == (64, [])
    rest = reader.read(Order({"a": 76}, old=[("a", 64)]))
    assert (rest.contents.prefill_tokens, rest.sampled) == (76, ["a"])


def test_the_last_token_of_a_prompt_alone_is_a_prompt() -> None:
    reader = StepReader({"a": 0}.__getitem__)
    order = Order({"a": 1}, new=[("a", 100, 99)])
    reader.begin(order)
    reading = reader.read(order)
    assert (reading.contents.prefill_tokens, reading.contents.decode_sequences) == (1, 0)
    assert reading.sampled == ["a"]
    reader.end(Order({}, finished_req_ids={"a", "unknown"}))
