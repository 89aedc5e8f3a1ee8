"""Answers that arrive faster than they are read, merged without losing the prompt's logprobs.

vLLM 0.32 merges outputs of one request that wait to be read, and keeps of the later ones only what
was generated. With `n: 2` and `echo` the prompt's logprobs come with the first output of each
sequence: when the second one's is merged into a later output of the first they are gone, and the
stream ends with a KeyError inside a 200.
"""

from typing import Any

from vllm.outputs import RequestOutput


def keep_prompt_logprobs() -> None:
    """Change RequestOutput.add. Safe to call twice."""
    merge = RequestOutput.add
    if getattr(merge, "_sluice_keeps_logprobs", False):
        return

    def add(self: Any, next_output: Any, aggregate: bool) -> None:
        merge(self, next_output, aggregate)
        if not self.prompt_logprobs:
            self.prompt_logprobs = next_output.prompt_logprobs

    add._sluice_keeps_logprobs = True  # type: ignore[attr-defined]  # noqa: SLF001
    RequestOutput.add = add
