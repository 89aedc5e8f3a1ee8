"""The two ways of asking: users that wait for their answers, and arrivals that wait for nobody."""

import random
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import gevent.pool

from loadtests.asking.ask import Scenario
from loadtests.asking.schedule import Arrival
from loadtests.asking.tenants import Tenant
from loadtests.client.journey import Session, converse, prepare
from loadtests.record import Outcome, Record

Tell = Callable[[Record], None]
_TURNED_AWAY_S = 1.0  # where the refusal does not say
_TURNED_AWAY_MOST_S = 120.0  # a number of users of whom some sleep for hours is another number


def ask_once(
    session: Session,
    scenario: Scenario,
    tenant: Tenant,
    rng: random.Random,
    number: int,
    **told: Any,  # as `converse` takes it
) -> Iterator[Record]:
    """A closed loop's turn: one user makes up one wish and sees it through, all its turns.

    Its intended start is the instant at which it is ready to go: making it up is no one's wait.
    """
    ask = scenario.draw(rng)
    wish = prepare(session, Arrival(0.0, ask, tenant), number, rng)
    return converse(session, wish.now(session.clock.now_s()), **told)


def pause_s(record: Record) -> float:
    """Seconds until a closed loop's user asks for something else.

    Who was turned away does not ask again in the same instant: that would be no user but a flood.
    """
    if record.outcome in (Outcome.REFUSED, Outcome.FAILED):
        return min(record.retry_after_s or _TURNED_AWAY_S, _TURNED_AWAY_MOST_S)
    return 0.0


def play(
    session: Session,
    arrivals: Iterable[Arrival],
    rng: random.Random,
    tell: Tell,
    *,
    think_s: float = 0.0,
) -> None:
    """An open loop: each arrival gets a greenlet at its instant, however many are still waiting.

    Returns when the last has ended. A killed caller takes all of them along.
    """
    began_s = session.clock.now_s()
    crowd = gevent.pool.Group()
    try:
        for number, arrival in enumerate(arrivals):
            wish = prepare(session, arrival, number, rng).now(began_s + arrival.at_s)
            session.clock.sleep(wish.arrival.at_s - session.clock.now_s())
            crowd.spawn(_tell_all, converse(session, wish, think_s=think_s), tell)
        crowd.join(raise_error=True)
    finally:
        crowd.kill()


def _tell_all(records: Iterable[Record], tell: Tell) -> None:
    for record in records:
        tell(record)
