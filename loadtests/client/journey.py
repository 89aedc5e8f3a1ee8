"""One user's wish from its intended start to its end: attempts, refusals, waits, patience."""

import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
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


class Line(Protocol):
    """Where calls go; the HTTP endpoint, or a test's."""

    def attempt(self, call: Call) -> Attempt:
        """One request from its first byte to its last."""
        ...


@dataclass(frozen=True, slots=True)
class Session:
    """What all requests of a run share."""

    line: Line
    clock: Clock
    dialect: Dialect
    behaviour: Behaviour
    run: str  # goes out as x-sluice-run
    deadline_ms: int | None = None  # goes out as x-slo-ttft-ms


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


def live(session: Session, wish: Wish, *, stage: str | None = None) -> Record:
    """Asks until answered, refused for good or out of patience; takes as long as that takes."""
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
    ended_s = session.clock.now_s()
    return Record(
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
        retry_after_s=attempt.retry_after_s,
        queued_s=attempt.queued_s,
        asked_prompt_tokens=wish.arrival.ask.prompt_tokens,
        asked_output_tokens=wish.arrival.ask.output_tokens,
        tenant=wish.arrival.tenant.name,
        stage=stage,
        **_heard(attempt, intended_s),
    )


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
    return Call(route, wish.body, headers, gives_up_at_s, wish.temper.hangs_up_after)


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
    }
    if heard.first_at_s is None or heard.last_at_s is None:
        return fields
    fields["ttft_s"] = heard.first_at_s - intended_s
    if heard.output_tokens > 1:
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
