"""The largest step in which no token comes late: Sarathi-Serve's token budget (OSDI 2024).

    tokens <= n + (TPOT bound - t(n, K)) / c_p

with n sequences that decode over K tokens of context: t is what a step takes that does nothing
else, c_p what one prompt token adds; here as the step-time model has them, straight or not.

The SLO bounds the mean over an answer. Where prompts are few, larger steps keep that too, and may
carry more.
"""

import math
from dataclasses import dataclass, replace

from admission.planning.plan import Plan, make_plan, steps_of
from admission.planning.sentences import Sentence
from admission.planning.step_limits import largest
from admission.speed.step import StepContents

_LEAST_TOKENS = 64  # smaller steps are overhead more than work
_MOST_TOKENS = 8192  # more than any card here computes within a bound on tokens


@dataclass(frozen=True, slots=True)
class EvenStep:
    """A plan with such steps beside the one it was asked for; seconds of a full step, in each."""

    plan: Plan
    step_s: float
    asked: Plan
    asked_step_s: float

    @property
    def needed(self) -> bool:
        """Whether the steps asked for are longer than the bound."""
        return self.asked_step_s > self.asked.question.slo.tpot_s

    @property
    def told(self) -> Sentence:
        """What a full step takes, and what would even it out."""
        asked_tokens, asked_ms = (
            self.asked.memory.engine.max_batched_tokens,
            self.asked_step_s * 1e3,
        )
        if not self.needed:
            return Sentence("step_even", step=asked_tokens, step_ms=asked_ms)
        return Sentence(
            "step_uneven",
            step=asked_tokens,
            step_ms=asked_ms,
            even=self.plan.memory.engine.max_batched_tokens,
            even_ms=self.step_s * 1e3,
            even_rate=self.plan.load.rate_per_s or 0.0,
            rate=self.asked.load.rate_per_s or 0.0,
        )


def even_step(plan: Plan, *, slots: int) -> EvenStep | None:
    """In whole blocks, for an engine with `slots`: vLLM requires that a step has room for them.

    None without a bound on TPOT or without step times. Where the smallest step is too long: that.
    """
    question, engine = plan.question, plan.memory.engine
    model, bound_s = steps_of(question, plan.memory), question.slo.tpot_s
    if model is None or bound_s == math.inf:
        return None
    mix = question.mix(question.workload, engine.max_batched_tokens)
    sequences = max(1, int(plan.load.sustained.expected / question.replicas))
    batch = -(-sequences // model.stages)

    def full_s(tokens: int) -> float:
        """Beside the decodes a chunk from the middle of a prompt."""
        prompt = max(0, tokens - batch)
        before = mix.prompt_tokens // 2 if prompt else 0
        context = int(batch * mix.mean_context_tokens)
        return model.step(StepContents(batch, context, prompt, before)).total_s

    found = largest(lambda tokens: full_s(tokens) <= bound_s, _MOST_TOKENS)
    least = max(slots, _LEAST_TOKENS, engine.block_tokens)
    tokens = max(found, least) // engine.block_tokens * engine.block_tokens
    given = replace(question.arguments, max_num_batched_tokens=tokens)
    even = make_plan(replace(question, arguments=given))
    return EvenStep(even, full_s(tokens), plan, full_s(engine.max_batched_tokens))
