"""One round of the search: so many users, a warm-up, a window, a verdict."""

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any, NamedTuple

import gevent

from admission.terms.slo import Slo
from loadtests.client.api import Api, EndpointDownError
from loadtests.client.clock import ModelledClock
from loadtests.client.facts import read_state
from loadtests.client.watch import ClientReport, ClientWatch
from loadtests.judging.search import Phase, Probe, Seen
from loadtests.judging.summary import Summary, summarize
from loadtests.judging.verdict import Verdict, judge
from loadtests.limit.crowd import Crowd
from loadtests.record import Outcome, Record

LOOK_S = 0.25  # real seconds between looks at what came in
_STATE_EVERY = 4  # looks; the gateway has better things to do than to say what binds
WARM_UP_MOST_S = 300.0  # modelled; where next to nothing is served there is nothing to wait for
_SURE_AFTER = 40  # requests until a short round may be given up as hopeless
_DEAD_AFTER = 5  # requests in a row without any answer: nothing is there any more


@dataclass(frozen=True, slots=True)
class Window:
    """How long a round lasts, in modelled seconds and finished requests: both, but not for ever."""

    least_s: float
    least_finished: int
    most_s: float

    def short(self) -> "Window":
        """To find the neighbourhood of the limit: half the time, a quarter of the requests."""
        return Window(self.least_s / 2, self.least_finished // 4, min(_SHORT_MOST_S, self.most_s))


SOAK = Window(120.0, 200, most_s=7200.0)  # what "sustained" is defined by
_SHORT_MOST_S = 600.0


@dataclass(frozen=True, slots=True)
class Measured:
    """What a round showed. `seconds` are its window's; `binds` = the limit that bound most."""

    probe: Probe
    seen: Seen
    seconds: float
    warm_up_s: float
    began_s: float  # of the window, from the beginning of the search
    verdict: Verdict
    summary: Summary
    client: ClientReport
    binds: str | None


class _Doing(NamedTuple):
    """A part of a round, and when it began."""

    crowd: Crowd
    users: int
    what: str
    began_s: float


class Rounds:
    """Runs rounds on one crowd; what it hears of is told to it by `hear`."""

    def __init__(
        self,
        api: Api,
        clock: ModelledClock,
        slo: Slo,
        *,
        soak: Window,
        say: Callable[[str], None],
        mean_s: float = 0.0,
    ) -> None:
        """`mean_s`: what a request may take, until a warm-up shows what it does take."""
        self._api = api
        self._clock = clock
        self._slo = slo
        self._soak = soak
        self._say = say
        self._watch = ClientWatch(clock)
        self._mean_s = mean_s
        self._since_s = 0.0  # all users are there
        self._ended: list[Record] = []  # since then, whenever they began
        self._judged: list[Record] = []  # of those begun since then, too
        self._unanswered = 0  # in a row

    def hear(self, record: Record) -> None:
        """A request ended; one that began before all were there tells of another load."""
        if self._clock.now_s() >= self._since_s:
            self._ended.append(record)
        if record.intended_at_s >= self._since_s:
            self._judged.append(record)
        self._unanswered = self._unanswered + 1 if record.status == 0 else 0

    def run(self, crowd: Crowd, probe: Probe) -> Measured:
        """EndpointDownError where it does not answer any more."""
        window = self._soak if probe.phase is Phase.CONFIRMING else self._soak.short()
        warm_up_s = self._warm_up(crowd, probe)
        self._watch.start()
        began_s = self._clock.now_s()
        self._judged.clear()
        binding = self._observe(crowd, probe, window, began_s)
        self._watch.stop()
        seconds = self._clock.now_s() - began_s
        verdict, client = judge(self._judged, self._slo), self._watch.report()
        return Measured(
            probe,
            _seen(verdict, client),
            seconds,
            warm_up_s,
            began_s,
            verdict,
            summarize(self._judged, self._slo, seconds),
            client,
            binding.most_common(1)[0][0] if binding else None,
        )

    def _warm_up(self, crowd: Crowd, probe: Probe) -> float:
        """One mean request: as many end, once all are there, as there are users.

        New users come at the pace at which requests will end. All at once they would be a wave of
        prompts, and its first tokens would be judged as those of so many users. What is asked once
        all are there is judged if it ends in the window; to ask that it begin there too would
        leave out the long ones.
        """
        began_s = self._clock.now_s()
        self._since_s = math.inf
        self._ended.clear()
        self._judged.clear()
        all_there_s = crowd.resize(probe.users, self._mean_s / probe.users)
        if not all_there_s:
            self._let_line_empty(crowd, probe, began_s)
        self._since_s = self._clock.now_s() + all_there_s
        self._until(
            lambda seconds: self._served() >= probe.users or seconds >= WARM_UP_MOST_S,
            _Doing(crowd, probe.users, "warm-up", began_s),
        )
        self._mean_s = self._mean()
        return self._clock.now_s() - began_s

    def _let_line_empty(self, crowd: Crowd, probe: Probe, began_s: float) -> None:
        """Nobody came in addition; who has waited since there were more says nothing of so few.

        A line that has not emptied after one mean request says that they are too many: they are
        judged all the same. An endpoint that does not tell its line is not waited for.
        """
        most_s = min(self._mean_s, WARM_UP_MOST_S)
        waiting = _waiting(read_state(self._api))

        def hear(state: Mapping[str, Any]) -> None:
            nonlocal waiting
            waiting = _waiting(state)

        self._until(
            lambda seconds: not waiting or seconds >= most_s,
            _Doing(crowd, probe.users, "line empties", began_s),
            hear,
        )

    def _mean(self) -> float:
        """Seconds of a request that was served, as far as known."""
        served = [each.e2e_s for each in self._ended if each.outcome is Outcome.ANSWERED]
        return sum(served) / len(served) if served else self._mean_s

    def _served(self) -> int:
        """Requests that ended; a refusal says nothing of how long one is."""
        return sum(record.outcome is not Outcome.REFUSED for record in self._ended)

    def _observe(self, crowd: Crowd, probe: Probe, window: Window, began_s: float) -> Counter[str]:
        """Until the window is over; how often each limit was seen to bind."""
        binding: Counter[str] = Counter()

        def hear(state: Mapping[str, Any]) -> None:
            self._watch.hear(state)
            if limit := state.get("binding_limit"):
                binding[str(limit)] += 1

        self._until(
            lambda seconds: self._is_over(probe, window, seconds),
            _Doing(crowd, probe.users, probe.phase, began_s),
            hear,
        )
        return binding

    def _is_over(self, probe: Probe, window: Window, seconds: float) -> bool:
        finished = len(self._judged)
        if seconds >= window.most_s:
            return True
        if seconds >= window.least_s and finished >= window.least_finished:
            return True
        hopeless = finished >= _SURE_AFTER and probe.phase is not Phase.CONFIRMING
        return hopeless and judge(self._judged, self._slo).surely_missed

    def _until(
        self,
        is_over: Callable[[float], bool],
        doing: _Doing,
        hear: Callable[[Mapping[str, Any]], None] | None = None,
    ) -> None:
        """Look at what came in until it is over, told the modelled seconds since it began.

        `hear` is told the endpoint's state, once in a real second.
        """
        for looks in count():
            seconds = self._clock.now_s() - doing.began_s
            if is_over(seconds):
                return
            doing.crowd.check()
            self._look(doing)
            if hear and looks % _STATE_EVERY == 0:
                hear(read_state(self._api))

    def _look(self, doing: _Doing) -> None:
        gevent.sleep(LOOK_S)
        if self._unanswered >= max(_DEAD_AFTER, doing.users):
            raise EndpointDownError(f"{self._api.url}: {self._unanswered} requests without answer")
        seconds = self._clock.now_s() - doing.began_s
        self._say(
            f"{doing.users} users, {doing.what}: {seconds:.0f} s, {len(self._judged)} finished"
        )


def _waiting(state: Mapping[str, Any]) -> int:
    """Requests in the endpoint's queue."""
    queue = state.get("queue") or {}
    return int(queue.get("requests", 0))


def _seen(verdict: Verdict, client: ClientReport) -> Seen:
    if client.flaws():
        return Seen.INVALID
    return Seen.MET if verdict.met else Seen.MISSED
