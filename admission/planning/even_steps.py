"""The largest step in which no token comes late: Sarathi-Serve's token budget (OSDI 2024).

    tokens <= n + (TPOT bound - t(n, K)) / c_p

n sequences decode over K tokens of context. t is the time of a step that only decodes, and c_p the
time that one prompt token adds. Here both come from the step-time model, which need not be linear.

The SLO bounds the mean over an answer. If prompts are few, larger steps keep it too, and may carry
more.
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
    """The plan with even steps and the `asked` plan, each with the seconds of a full step."""

    plan: Plan
    step_s: float
    asked: Plan
    asked_step_s: float

    @property
    def needed(self) -> bool:
        """Whether a full step of the `asked` plan takes longer than the bound."""
        return self.asked_step_s > self.asked.question.slo.tpot_s

    @property
    def told(self) -> Sentence:
        """How long a full step takes, and which step size would keep every token in time."""
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
    """The plan with the largest even step: whole blocks, and room for one token of each slot.

    vLLM requires that room. If even the smallest step takes too long, it is the result. None
    without a bound on TPOT or without step times.
    """
    question, engine = plan.question, plan.memory.engine
    model, bound_s = steps_of(question, plan.memory), question.slo.tpot_s
    if model is None or bound_s == math.inf:
        return None
    mix = question.mix(question.workload, engine.max_batched_tokens)
    sequences = max(1, int(plan.load.sustained.expected / question.replicas))
    batch = -(-sequences // model.stages)

    def full_s(tokens: int) -> float:
        """Seconds of a full step: the decodes and a chunk from the middle of a prompt."""
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
