"""What passes between the gate and the controller: offers, answers, turns, step records."""

from dataclasses import dataclass
from typing import NamedTuple

from admission.ledger.rows import Rows
from admission.price.offer import Quote
from admission.terms.decision import Accepted, Decision, Rejected


class Answer(NamedTuple):
    """What `offer` says. `would` differs from `decision` only outside mode enforce.

    `ticket_id` names the place in the queue of a Queued request; its Turn comes later.
    """

    decision: Decision
    quote: Quote
    would: Decision
    ticket_id: int | None = None


class Turn(NamedTuple):
    """News for one waiting request: accepted, or refused because its time is up."""

    ticket_id: int
    decision: Accepted | Rejected
    quote: Quote


@dataclass(frozen=True, slots=True)
class StepRecord:
    """What the engine reported of one step.

    `rows` are the ledger rows of the running sequences and `generated` their tokens so far.
    `prefill_tokens` were computed in the step, `cached_tokens` found in the prefix cache by the
    requests it started. `ended` are rows the engine has freed; `ending` those whose end it hears
    of only with the next message (stop strings, aborts). `elapsed_s` is 0 where not reported,
    `kv_used_ratio`, what the engine says it holds of its cache (0-1), None. The engine made the
    record `age_s` before it arrived here.
    """

    rows: Rows
    generated: Rows
    prefill_tokens: int = 0
    cached_tokens: int = 0
    decode_tokens: int = 0
    elapsed_s: float = 0.0
    kv_used_ratio: float | None = None
    age_s: float = 0.0
    preempted: int = 0
    ended: tuple[int, ...] = ()
    ending: tuple[int, ...] = ()
