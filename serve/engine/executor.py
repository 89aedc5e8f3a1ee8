"""vLLM's executor for a machine of few cores: it sleeps while its workers compute.

vLLM's own looks for their answer again and again, for a second after the last one, and calls
`sched_yield` between. That saves a GPU's step the 0.1 ms of being woken; a CPU's step takes
hundreds of times as long, and gateway and clients need the core. On Linux 6.18 such a loop does
worse than use it up: other processes there got a hundredth of it, for a minute and more.
"""

import time
from typing import Any

from vllm.v1.executor.multiproc_executor import MultiprocExecutor

PATIENT = f"{__name__}.PatientExecutor"

_LOOK_MS = (1, 10)  # shortest and longest sleep between two looks at the queue
_LOOK_MS_PER_S = 100  # of the time that was waited: what a lost wake-up adds to it, a tenth


class PatientExecutor(MultiprocExecutor):
    """As vLLM's, woken by its workers' messages."""

    def _init_executor(self) -> None:
        super()._init_executor()
        for answers in self.response_mqs:
            sleep_until_told(answers)
        give_up_name(self.rpc_broadcast_mq)  # its workers have it open by now


def give_up_name(messages: Any) -> None:
    """Both sides of this queue of vLLM's have its memory open: it needs no name any more.

    So it ends with them, however they end. A name outlives an engine that is killed: 160 MB each.
    """
    ring = messages.buffer
    ring.shared_memory.unlink()
    ring.is_creator = False  # else it is unlinked again with the object


def sleep_until_told(messages: Any) -> None:
    """From now on the reader of this queue of vLLM's sleeps until its socket wakes it.

    It looks by itself, too, at most 10 ms after it last did: of two messages within a millisecond
    the writer's socket drops the second wake-up, and vLLM itself looks again after 5 s only.
    """
    condition = messages._spin_condition  # noqa: SLF001 - no option of vLLM's says it
    condition.busy_loop_s = 0
    wait = condition.wait
    shortest_ms, longest_ms = _LOOK_MS

    def wait_a_little(timeout_ms: int | None = None) -> None:
        waited_ms = int(_LOOK_MS_PER_S * (time.monotonic() - condition.last_read))
        look_ms = min(longest_ms, shortest_ms + waited_ms)
        wait(timeout_ms=look_ms if timeout_ms is None else min(look_ms, timeout_ms))

    condition.wait = wait_a_little
