"""One user's wish from its intended start to its end: attempts, refusals, waits, patience."""

import random
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from loadtests.asking.behaviour import Behaviour, Temper
from loadtests.asking.prompts import Dialect, body
from loadtests.asking.schedule import Arrival
from loadtests.client.attempt import Attempt, Call, End
from loadtests.client.clock import Clock
from loadtests.judging.percentiles import percentile
from loadtests.record import Outcome, Record

_OUTCOMES = {
    End.COMPLETE: Outcome.ANSWERED,
    End.REFUSED: Outcome.REFUSED,
    End.GAVE_UP: Outcome.TIMED_OUT,
    End.HUNG_UP: Outcome.CANCELLED,
    End.BROKEN: Outcome.FAILED,
}


_TURN = "t"  # before the number of a turn, at the end of its id


class Connection(Protocol):
    """Where calls go; the HTTP endpoint, or a test's."""

    def attempt(self, call: Call) -> Attempt:
        """One request from its first byte to its last."""
        ...


@dataclass(slots=True)
class Going:
    """Requests begun and not ended. What is killed on its way stays here: unfinished."""

    requests: int = 0


@dataclass(frozen=True, slots=True)
class Session:
    """What all requests of a run share."""

    line: Connection
    clock: Clock
    dialect: Dialect
    behaviour: Behaviour
    run: str  # goes out as x-sluice-run
    deadline_ms: int | None = None  # goes out as x-slo-ttft-ms
    going: Going = field(default_factory=Going)


@dataclass(frozen=True, slots=True)
class Wish:
    """A request ready to go: all that takes time to make is made before its instant."""

    arrival: Arrival
    id: str
    body: bytes
    temper: Temper
    rng: random.Random

    def now(self, at_s: float) -> "Wish":
        """The same, intended for an instant of the session's clock."""
        return replace(self, arrival=replace(self.arrival, at_s=at_s))


def prepare(session: Session, arrival: Arrival, number: int, rng: random.Random) -> Wish:
    """The wish of an arrival; `number` makes its id within the run.

    Its text is of this run alone, whatever the seed: else an endpoint that has seen the same run
    before would find its prompts cached.
    """
    own = random.Random(rng.random())  # noqa: S311 - a workload, no secret
    name = f"{session.run}-{number}"
    words = random.Random(name)  # noqa: S311 - a workload, no secret
    return Wish(
        arrival,
        name,
        body(arrival.ask, session.dialect, words),
        session.behaviour.draw(own, arrival.ask.output_tokens),
        own,
    )


@dataclass(frozen=True, slots=True)
class _Lived:
    """What became of a wish, and the answer's text where a next turn will want it."""

    record: Record
    text: str


def converse(
    session: Session, wish: Wish, *, stage: str | None = None, think_s: float = 0.0
) -> Iterator[Record]:
    """Every turn of a conversation, each after the answer to the last and `think_s` of thought.

    Most have one turn. Who got no answer says nothing more.
    """
    following: Wish | None = wish
    while following is not None:
        lived = _lived(session, following, stage)
        yield lived.record
        if lived.record.outcome is not Outcome.ANSWERED:
            return
        following = _follow_up(session, following, lived.text)
        if following is not None and think_s:
            session.clock.sleep(following.rng.expovariate(1 / think_s))
        if following is not None:
            following = following.now(session.clock.now_s())


def _follow_up(session: Session, wish: Wish, answer: str) -> Wish | None:
    asked = wish.arrival.ask.given
    if asked is None or (following := asked.next(answer)) is None:
        return None
    output_tokens = following.output_tokens()
    ask = replace(
        wish.arrival.ask,
        prompt_tokens=following.prompt_tokens(),
        output_tokens=output_tokens,
        max_tokens=output_tokens,
        given=following,
    )
    return replace(
        wish,
        arrival=replace(wish.arrival, ask=ask),
        id=f"{wish.id.partition(_TURN)[0]}{_TURN}{following.number}",
        body=body(ask, session.dialect, wish.rng),
        temper=session.behaviour.draw(wish.rng, output_tokens),
    )


def live(session: Session, wish: Wish, *, stage: str | None = None) -> Record:
    """Asks until answered, refused for good or out of patience; takes as long as that takes."""
    return _lived(session, wish, stage).record


def _lived(session: Session, wish: Wish, stage: str | None) -> _Lived:
    session.going.requests += 1
    intended_s = wish.arrival.at_s
    gives_up_at_s = intended_s + wish.temper.patience_s
    lag_s = max(0.0, session.clock.now_s() - intended_s)
    waited_s, retries = 0.0, 0
    while True:
        attempt = session.line.attempt(_call(session, wish, retries, gives_up_at_s))
        wait_s = _wait_s(attempt, wish, retries)
        if wait_s is None or session.clock.now_s() + wait_s >= gives_up_at_s:
            break
        session.clock.sleep(wait_s)
        waited_s += wait_s
        retries += 1
    ended_s = session.clock.now_s() if attempt.ended_at_s is None else attempt.ended_at_s
    session.going.requests -= 1
    asked = wish.arrival.ask.given
    record = Record(
        id=wish.id,
        kind=wish.arrival.ask.kind,
        outcome=_OUTCOMES[attempt.end],
        intended_at_s=intended_s,
        lag_s=lag_s,
        e2e_s=ended_s - intended_s,
        retries=retries,
        waited_s=waited_s,
        status=attempt.status,
        reason=attempt.reason,
        said=attempt.said,
        retry_after_s=attempt.retry_after_s,
        queued_s=attempt.queued_s,
        asked_prompt_tokens=wish.arrival.ask.prompt_tokens,
        asked_output_tokens=wish.arrival.ask.output_tokens,
        tenant=wish.arrival.tenant.name,
        stage=stage,
        prompt_line=asked.given.line if asked else None,
        repeat=asked.repeat if asked else False,
        turn=asked.number if asked else 1,
        **_heard(attempt, intended_s),
    )
    return _Lived(record, attempt.heard.text)


def _call(session: Session, wish: Wish, retries: int, gives_up_at_s: float) -> Call:
    headers = {
        "accept": "text/event-stream",
        "x-sluice-run": session.run,
        "x-request-id": f"{wish.id}.{retries}" if retries else wish.id,
    }
    if wish.arrival.tenant.key:
        headers["authorization"] = f"Bearer {wish.arrival.tenant.key}"
    if session.deadline_ms is not None:
        headers["x-slo-ttft-ms"] = str(session.deadline_ms)
    route = session.dialect.route
    asked = wish.arrival.ask.given
    keep_text = asked is not None and asked.number < len(asked.given.turns)
    leaves = wish.temper.hangs_up_after
    return Call(route, wish.body, headers, gives_up_at_s, leaves, keep_text=keep_text)


def _wait_s(attempt: Attempt, wish: Wish, retries: int) -> float | None:
    """Seconds until the next attempt; None = this was the last."""
    if not attempt.may_retry:
        return None
    return wish.temper.wait_s(attempt.retry_after_s, retries, wish.rng)


def _heard(attempt: Attempt, intended_s: float) -> dict[str, Any]:
    """What the record says of the answer itself."""
    heard = attempt.heard
    fields: dict[str, Any] = {
        "finish": heard.finish,
        "prompt_tokens": heard.prompt_tokens,
        "cached_tokens": heard.cached_tokens,
        "output_tokens": heard.output_tokens,
        "estimated": heard.estimated,
        "streamed": heard.streamed,
    }
    if heard.first_at_s is None or heard.last_at_s is None:
        return fields
    fields |= {"ttft_s": heard.first_at_s - intended_s, "events": len(heard.gaps_s) + 1}
    if heard.output_tokens > 1 and heard.gaps_s:
        fields["tpot_s"] = (heard.last_at_s - heard.first_at_s) / (heard.output_tokens - 1)
    return fields | _pauses(heard.gaps_s)


def _pauses(gaps_s: Sequence[float]) -> dict[str, Any]:
    if not gaps_s:
        return {}
    return {
        "itl_p50_s": statistics.median(gaps_s),
        "itl_p95_s": percentile(gaps_s, 0.95),
        "itl_max_s": max(gaps_s),
    }
