"""A plain queue in order of arrival, for the limits that others use in place of a price."""

from collections import deque
from collections.abc import Sequence
from typing import Protocol

from loadtests.lab.playing.door import Ruling
from loadtests.lab.playing.workload import TraceRequest
from serve.engine_step import EngineStep

TIMED_OUT, FULL = "timed_out", "full"


class Inside:
    """What was let in and has not ended, as a front end knows it after the last step."""

    def __init__(self) -> None:
        self.requests: dict[str, TraceRequest] = {}  # by engine id
        self.generated: dict[str, int] = {}  # tokens so far; absent before the first step record
        self.prompt_tokens_to_compute = 0  # whole prompts of all that have no token yet
        self.kv_used_ratio = 0.0
        self._unbegun: set[str] = set()

    def let_in(self, request: TraceRequest) -> None:
        """It goes to the engine now."""
        key = str(request.number)
        self.requests[key] = request
        self._unbegun.add(key)
        self.prompt_tokens_to_compute += request.prompt_tokens

    def note(self, step: EngineStep) -> None:
        """Who has how much, and who is gone."""
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
    """Says whether one more may go in; learns from every step."""

    def fits(self, request: TraceRequest, inside: Inside) -> bool:
        """Whether the head of the line may go in now."""
        ...

    def note(self, step: EngineStep, inside: Inside) -> None:
        """The engine finished a step; `inside` still holds those who ended in it."""
        ...


class Fifo:
    """Lets the head in when the limiter says so, and turns away who has waited `patience_s`."""

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
        """Join the end of the line; where nobody may wait the answer comes at once."""
        self._queue.append(request)
        return self.tick(now_s)

    def stepped(self, step: EngineStep, now_s: float) -> Sequence[Ruling]:
        """Learn, then let the line move."""
        self._limiter.note(step, self._inside)
        self._inside.note(step)
        return self.tick(now_s)

    def tick(self, now_s: float) -> Sequence[Ruling]:
        """Let in whom the limiter lets in; turn away who has waited long enough."""
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
