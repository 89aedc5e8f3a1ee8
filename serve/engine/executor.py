"""vLLM's executor for a machine of few cores: it sleeps while its workers compute.

vLLM's own looks for their answer again and again, for a second after the last one, and calls
`sched_yield` between. That saves a GPU's step the 0.1 ms of being woken; a CPU's step takes
hundreds of times as long, and gateway and clients need the core. On Linux 6.18 such a loop does
worse than use it up: other processes there got a hundredth of it, for a minute and more
(2026-11-29).
"""

from typing import Any

from vllm.v1.executor.multiproc_executor import MultiprocExecutor

PATIENT = f"{__name__}.PatientExecutor"


class PatientExecutor(MultiprocExecutor):
    """As vLLM's, woken by its workers' messages."""

    def _init_executor(self) -> None:
        super()._init_executor()
        for answers in self.response_mqs:
            sleep_until_told(answers)


def sleep_until_told(messages: Any) -> None:
    """From now on whoever reads this queue of vLLM's waits for its socket, at once."""
    messages._spin_condition.busy_loop_s = 0  # noqa: SLF001 - no option of vLLM's says it
