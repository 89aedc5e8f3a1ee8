"""Drives a controller and a tiny engine through a list of jobs, as the gate would."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import zip_longest

from admission.controller import Controller
from admission.exchange import Turn
from admission.price.footprint import EngineShape, PromptShape, RequestShape
from admission.price.offer import Offer
from admission.terms.decision import Accepted, Priority, Queued, Rejected
from admission.terms.settings import Settings
from tests.admission.tiny_engine import Sequence, TinyEngine


@dataclass(frozen=True)
class Job:
    """One request: what it says of itself, what it will really produce, when its client leaves."""

    arrives_step: int
    prompts: tuple[int, ...]
    output_tokens: int
    max_tokens: int | None = None  # None: the length is known
    sequences: int = 1
    tenant: str = "a"
    priority: Priority = Priority.NORMAL
    patience_s: float = 1e9
    leaves_after_steps: int | None = None
    prompt_hashes: tuple[tuple[int, ...], ...] = ()  # of the prompts, where they have names

    @property
    def shape(self) -> RequestShape:
        limit = self.max_tokens or self.output_tokens
        return RequestShape(
            tuple(
                PromptShape(tokens, limit, hashes)
                for tokens, hashes in zip_longest(self.prompts, self.prompt_hashes, fillvalue=())
            ),
            sequences=self.sequences,
            ignore_eos=self.max_tokens is None,
        )


@dataclass(eq=False)
class Visit:
    """A job on its way."""

    job: Job
    offered_at_s: float
    lease_id: int | None = None
    ticket_id: int | None = None
    sequences: list[Sequence] = field(default_factory=list)
    ended: int = 0
    predicted_wait_s: float = 0.0
    accepted_at_s: float | None = None
    accepted_at_step: int | None = None
    outcome: str = ""


class Traffic:
    """Runs jobs to their end; keeps what a test wants to know of it."""

    def __init__(self, shape: EngineShape, settings: Settings, *, message_steps: int = 1) -> None:
        self.controller = Controller(shape, settings)
        self.engine = TinyEngine(shape, message_steps=message_steps)
        self.now_s = 0.0
        self.step = 0
        self.visits: list[Visit] = []
        self.outcomes: Counter[str] = Counter()
        self.order: list[Job] = []  # in the order of acceptance
        self.used_while_waiting: list[float] = []
        self.running_while_waiting: list[int] = []
        self.most_below = 0  # blocks the ledger counted too few
        self.most_above: list[float] = []  # (held - one per sequence) / used
        self.dead = False
        self._leaving: list[Visit] = []  # those whose clients will not wait for ever
        self._by_ticket: dict[int, Visit] = {}
        self._by_row: dict[int, Visit] = {}

    def run(self, jobs: Iterable[Job], *, steps_max: int = 200_000) -> None:
        """Offer every job in its step and go on until nothing is left."""
        todo = sorted(jobs, key=lambda job: job.arrives_step)
        coming = iter(todo)
        job = next(coming, None)
        while job or self.engine.unfinished or self._by_ticket or self.controller.ledger.leases:
            while job and job.arrives_step <= self.step:
                self.offer(job)
                job = next(coming, None)
            self.leave()
            self.advance()
            assert self.step < steps_max, "the traffic does not end"

    def offer(self, job: Job) -> Visit:
        """One request at the door."""
        visit = Visit(job, self.now_s)
        self.visits.append(visit)
        if job.leaves_after_steps is not None:
            self._leaving.append(visit)
        deadline = self.now_s + job.patience_s
        offer = Offer(job.tenant, job.priority, job.shape, self.now_s, deadline)
        answer = self.controller.offer(offer, self.now_s)
        if isinstance(answer.decision, Queued):
            assert answer.ticket_id is not None
            visit.ticket_id = answer.ticket_id
            visit.predicted_wait_s = answer.decision.predicted_wait_s
            self._by_ticket[answer.ticket_id] = visit
        else:
            self._told(visit, answer.decision)
        return visit

    def _told(self, visit: Visit, decision: Accepted | Rejected) -> None:
        if isinstance(decision, Rejected):
            self._close(visit, decision.reason)
            return
        job = visit.job
        visit.lease_id, visit.accepted_at_s = decision.lease_id, self.now_s
        visit.accepted_at_step = self.step
        self.order.append(job)
        rows = self.controller.rows_of(decision.lease_id)
        for index, row in enumerate(rows):
            prompt = index // job.sequences
            family = decision.lease_id * 1000 + prompt if job.sequences > 1 else None
            hashes = job.prompt_hashes[prompt] if job.prompt_hashes else ()
            sequence = Sequence(row, job.prompts[prompt], job.output_tokens, family, hashes)
            visit.sequences.append(sequence)
            self._by_row[row] = visit
        self.engine.add(visit.sequences)

    def _close(self, visit: Visit, outcome: str) -> None:
        assert not visit.outcome, "told twice"
        visit.outcome = outcome
        self.outcomes[outcome] += 1

    def leave(self) -> None:
        """Clients whose patience is over hang up."""
        for visit in self._leaving:
            steps = visit.job.leaves_after_steps
            due = steps is not None and self.step >= visit.job.arrives_step + steps
            if due and not visit.outcome:
                self.hang_up(visit)

    def hang_up(self, visit: Visit) -> None:
        """A client leaves, waiting or running."""
        self._close(visit, "left")
        if visit.lease_id is None:
            assert visit.ticket_id is not None
            del self._by_ticket[visit.ticket_id]
            self.controller.leave_queue(visit.ticket_id)
            return
        self.engine.abort(visit.sequences)
        self._turns(self.controller.release(visit.lease_id, self.now_s, in_engine=True))

    def tick(self, seconds: float) -> None:
        """Time passes without a step."""
        self.now_s += seconds
        self._turns(self.controller.tick(self.now_s))

    def die(self) -> None:
        """The engine dies: those in flight get an error, those in line hear of it."""
        self.dead = self.controller.engine_down = True
        self.engine = TinyEngine(self.engine.shape)
        for visit in self.visits:
            if not visit.outcome and visit.lease_id is not None:
                self._close(visit, "died")
                self._turns(self.controller.release(visit.lease_id, self.now_s, in_engine=True))
        self.tick(0.0)

    def advance(self) -> None:
        """One engine step and its record."""
        waits = len(self.controller.queue) > 0
        record = self.engine.step()
        self.step += 1
        self.now_s += record.elapsed_s
        turns = self.controller.progress(record, self.now_s)
        self._compare(waits)
        self._turns(turns)
        for row in record.ended:
            self._ended(row)

    def _compare(self, waits: bool) -> None:
        held, used = self.controller.ledger.held_blocks, self.engine.used_blocks
        self.most_below = max(self.most_below, used - held)
        self.most_above.append((held - used - self.controller.ledger.sequences) / max(1, used))
        if waits:
            self.used_while_waiting.append(used / self.engine.shape.usable_blocks)
            self.running_while_waiting.append(len(self.engine.running))

    def _ended(self, row: int) -> None:
        visit = self._by_row.pop(row)
        visit.ended += 1
        if visit.outcome or visit.lease_id is None:
            return
        job = visit.job
        cut = job.output_tokens == job.max_tokens
        self.controller.learn(visit.lease_id, row, job.output_tokens, cut=cut)
        if visit.ended == len(visit.sequences):
            self._close(visit, "served")
            self._turns(self.controller.release(visit.lease_id, self.now_s, in_engine=True))

    def _turns(self, turns: list[Turn]) -> None:
        for turn in turns:
            self._told(self._by_ticket.pop(turn.ticket_id), turn.decision)
