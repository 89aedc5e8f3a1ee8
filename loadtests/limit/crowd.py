"""So many users without think time, each with one request at a time: a closed loop of any size."""

import random
from collections.abc import Callable
from itertools import count

import gevent
import gevent.pool

from loadtests.asking.ask import Scenario
from loadtests.asking.tenants import ANONYMOUS
from loadtests.client.journey import Session
from loadtests.client.loops import ask_once, pause_s
from loadtests.record import Record


class Crowd:
    """Grows and shrinks at once: who is too many hangs up."""

    def __init__(
        self,
        session: Session,
        scenario: Scenario,
        rng: random.Random,
        tell: Callable[[Record], None],
    ) -> None:
        self._session = session
        self._scenario = scenario
        self._rng = rng
        self._tell = tell
        self._size = 0
        self._numbers = count(1)
        self._users: dict[int, gevent.Greenlet] = {}

    def resize(self, users: int) -> None:
        """From now on so many."""
        self._size = users
        gevent.killall([user for place, user in self._users.items() if place >= users])
        for place in range(users):
            if place not in self._users:
                self._users[place] = gevent.spawn(self._live, place)

    def stop(self) -> None:
        """Everybody hangs up."""
        self.resize(0)

    def _live(self, place: int) -> None:
        try:
            while place < self._size:
                number = next(self._numbers)
                stage = str(self._size)
                record = ask_once(
                    self._session, self._scenario, ANONYMOUS[0], self._rng, number, stage
                )
                self._tell(record)
                self._session.clock.sleep(pause_s(record))
        finally:
            del self._users[place]
