"""A closed loop of any size: users without think time, each with one request at a time."""

import random
from collections.abc import Callable
from itertools import count

import gevent
import gevent.pool

from loadtests.asking.ask import Scenario
from loadtests.asking.tenants import Tenant
from loadtests.client.journey import Session
from loadtests.client.loops import ask_once, pause_s
from loadtests.record import Record


class Crowd:
    """Users of a round. Surplus users hang up at once; new ones arrive at an even pace."""

    def __init__(
        self,
        session: Session,
        scenario: Scenario,
        tenant: Tenant,
        rng: random.Random,
        tell: Callable[[Record], None],
    ) -> None:
        self._session = session
        self._scenario = scenario
        self._tenant = tenant
        self._rng = rng
        self._tell = tell
        self._size = 0
        self._numbers = count(1)
        self._broken: gevent.Greenlet | None = None
        self._users: dict[int, gevent.Greenlet] = {}

    def resize(self, users: int, pace_s: float = 0.0) -> float:
        """Changes the number of users; a new one arrives every `pace_s` seconds.

        Returns the seconds until all have arrived.
        """
        self._size = users
        gevent.killall([user for place, user in self._users.items() if place >= users])
        new = [place for place in range(users) if place not in self._users]
        for order, place in enumerate(new):
            user = self._users[place] = gevent.spawn(self._live, place, order * pace_s)
            user.link_exception(self._broke)
        return len(new) * pace_s

    def check(self) -> None:
        """Raises the error that ended a user: a round with too few users would be invalid."""
        if self._broken is not None:
            self._broken.get()

    def _broke(self, user: gevent.Greenlet) -> None:
        self._broken = user

    def stop(self) -> None:
        """Makes all users hang up."""
        self.resize(0)

    def _live(self, place: int, after_s: float) -> None:
        try:
            self._session.clock.sleep(after_s)
            while place < self._size:
                number = next(self._numbers)
                stage = str(self._size)
                records = ask_once(
                    self._session, self._scenario, self._tenant, self._rng, number, stage=stage
                )
                for record in records:
                    self._tell(record)
                    self._session.clock.sleep(pause_s(record))
        finally:
            del self._users[place]
