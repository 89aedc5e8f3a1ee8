"""What passes between the gate and the controller: offers, answers, turns, step records."""

from dataclasses import dataclass
from typing import NamedTuple

from admission.ledger.rows import Rows
from admission.price.offer import Quote
from admission.terms.decision import Accepted, Decision, Rejected


class Answer(NamedTuple):
    """The reply to an offer. `would` differs from `decision` only outside mode enforce.

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


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFacts:
    """What an engine reports of one step as a whole, in modelled seconds.

    `prefill_tokens` were computed in the step, `cached_tokens` found in the prefix cache by the
    requests it started. `elapsed_s` is 0 if not reported. `kv_used_ratio` is the share of its cache
    that the engine says it holds (0-1), None if not reported. `age_s` is the time from the engine
    to here.
    """

    prefill_tokens: int = 0
    cached_tokens: int = 0
    decode_tokens: int = 0
    elapsed_s: float = 0.0
    kv_used_ratio: float | None = None
    age_s: float = 0.0
    preempted: int = 0


@dataclass(frozen=True, slots=True)
class StepRecord(StepFacts):
    """One step in rows of the ledger.

    `rows` are those of the running sequences and `generated` their tokens so far. `ended` are rows
    that the engine has freed; `ending` are rows whose end it learns with the next message: stop
    strings, aborts.
    """

    rows: Rows
    generated: Rows
    ended: tuple[int, ...] = ()
    ending: tuple[int, ...] = ()
