"""An executor for machines with few cores: it sleeps while its workers compute.

vLLM's own polls for their answer, with `sched_yield` in between, until a second after the last one.
That saves a GPU's step the 0.1 ms of a wake-up. A CPU's step takes hundreds of times as long, and
gateway and clients need the core. On Linux 6.18 the loop is even worse: other processes on the core
got a hundredth of it, for a minute and more.
"""

import time
from typing import Any

from vllm.v1.executor.multiproc_executor import MultiprocExecutor

PATIENT = f"{__name__}.PatientExecutor"

_LOOK_MS = (1, 10)  # shortest and longest sleep between two polls
_LOOK_MS_PER_S = 100  # of waiting so far: a lost wake-up adds a tenth at most


class PatientExecutor(MultiprocExecutor):
    """vLLM's executor, but woken by its workers' messages."""

    def _init_executor(self) -> None:
        super()._init_executor()
        for answers in self.response_mqs:
            sleep_until_woken(answers)
        give_up_name(self.rpc_broadcast_mq)  # its workers have opened it by now


def give_up_name(messages: Any) -> None:
    """Unlinks the shared memory of a queue that both sides have opened.

    So it is freed however they end. Otherwise a killed engine leaves 160 MB per queue.
    """
    ring = messages.buffer
    ring.shared_memory.unlink()
    ring.is_creator = False  # otherwise the object unlinks it again


def sleep_until_woken(messages: Any) -> None:
    """Makes the reader of this queue sleep until its socket wakes it.

    It also polls at least every 10 ms: of two messages within a millisecond the writer's socket
    drops the second wake-up, and vLLM itself polls after 5 s only.
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
