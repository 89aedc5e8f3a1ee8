"""A first-in-first-out queue for the baseline policies, which use a limit instead of a price."""

from collections import deque
from collections.abc import Sequence
from typing import Protocol

from loadtests.lab.playing.door import Ruling
from loadtests.lab.playing.workload import TraceRequest
from serve.engine_step import EngineStep

TIMED_OUT, FULL = "timed_out", "full"


class Inside:
    """Accepted requests that have not ended, as a front end knows them after the last step."""

    def __init__(self) -> None:
        self.requests: dict[str, TraceRequest] = {}  # by engine id
        self.generated: dict[str, int] = {}  # tokens so far; absent before the first step record
        self.prompt_tokens_to_compute = 0  # whole prompts of all that have no token yet
        self.kv_used_ratio = 0.0
        self._unbegun: set[str] = set()

    def let_in(self, request: TraceRequest) -> None:
        """Adds a request that goes to the engine now."""
        key = str(request.number)
        self.requests[key] = request
        self._unbegun.add(key)
        self.prompt_tokens_to_compute += request.prompt_tokens

    def note(self, step: EngineStep) -> None:
        """Updates the output of running requests and removes those that finished."""
        self.kv_used_ratio = step.kv_used_ratio or 0.0
        for state in step.running.values():
            self.generated[state.external_req_id] = state.stats.num_generation_tokens
        for key in [key for key in self._unbegun if self.generated.get(key)]:
            self._begun(key)
        for finished in step.finished:
            self._begun(finished.engine_id)
            del self.requests[finished.engine_id]
            self.generated.pop(finished.engine_id, None)

    def _begun(self, key: str) -> None:
        if key in self._unbegun:
            self._unbegun.remove(key)
            self.prompt_tokens_to_compute -= self.requests[key].prompt_tokens


class Limiter(Protocol):
    """Decides whether one more request may run; learns from every step."""

    def fits(self, request: TraceRequest, inside: Inside) -> bool:
        """Whether the request at the head of the queue may run now."""
        ...

    def note(self, step: EngineStep, inside: Inside) -> None:
        """Takes a finished step; `inside` still holds the requests that ended in it."""
        ...


class Fifo:
    """Accepts the head when the limiter allows it; refuses requests that waited `patience_s`."""

    def __init__(self, limiter: Limiter, *, patience_s: float) -> None:
        self._limiter = limiter
        self._patience_s = patience_s
        self._queue: deque[TraceRequest] = deque()
        self._inside = Inside()

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self._queue)

    def offer(self, request: TraceRequest, now_s: float) -> Sequence[Ruling]:
        """Adds the request to the queue; with `patience_s` 0 it is decided at once."""
        self._queue.append(request)
        return self.tick(now_s)

    def stepped(self, step: EngineStep, now_s: float) -> Sequence[Ruling]:
        """Updates the limiter, then accepts or refuses queued requests."""
        self._limiter.note(step, self._inside)
        self._inside.note(step)
        return self.tick(now_s)

    def tick(self, now_s: float) -> Sequence[Ruling]:
        """Accepts what the limiter allows and refuses requests that waited too long."""
        told: list[Ruling] = []
        while self._queue:
            head = self._queue[0]
            if self._limiter.fits(head, self._inside):
                self._inside.let_in(head)
                told.append(Ruling(head.number))
            elif now_s >= head.arrived_at_s + self._patience_s:
                told.append(Ruling(head.number, TIMED_OUT if self._patience_s else FULL))
            else:
                break
            self._queue.popleft()
        return told
