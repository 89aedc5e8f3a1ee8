"""One round of the search: a number of users, a warm-up, a window, a verdict."""

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

LOOK_S = 0.25  # real seconds between checks of the incoming records
_STATE_EVERY = 4  # checks; reading the gateway's state more often would load it
WARM_UP_MOST_S = 300.0  # modelled; if almost nothing is served, a longer wait gains nothing
_SURE_AFTER = 40  # requests before a short round may be stopped as surely missed
_DEAD_AFTER = 5  # consecutive requests without any answer: the endpoint is down


@dataclass(frozen=True, slots=True)
class Window:
    """How long a round lasts: at least both `least_s` and `least_finished`, at most `most_s`."""

    least_s: float
    least_finished: int
    most_s: float

    def short(self) -> "Window":
        """A window for the search: half the time, a quarter of the requests."""
        return Window(self.least_s / 2, self.least_finished // 4, min(_SHORT_MOST_S, self.most_s))


SOAK = Window(120.0, 200, most_s=7200.0)  # defines "sustained"
_SHORT_MOST_S = 600.0


@dataclass(frozen=True, slots=True)
class Measured:
    """The result of a round over `seconds` of its window; `binds` = the most frequent limit."""

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
    """Runs rounds on one crowd; the caller passes every ended request to `hear`."""

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
        """`mean_s`: assumed seconds of a request until a warm-up measures them."""
        self._api = api
        self._clock = clock
        self._slo = slo
        self._soak = soak
        self._say = say
        self._watch = ClientWatch(clock)
        self._mean_s = mean_s
        self._since_s = 0.0  # when all users had arrived
        self._ended: list[Record] = []  # ended since then, whenever they began
        self._judged: list[Record] = []  # those of them that also began since then
        self._unanswered = 0  # consecutive

    def hear(self, record: Record) -> None:
        """Takes an ended request; one that began before all users had arrived is not judged."""
        if self._clock.now_s() >= self._since_s:
            self._ended.append(record)
        if record.intended_at_s >= self._since_s:
            self._judged.append(record)
        self._unanswered = self._unanswered + 1 if record.status == 0 else 0

    def run(self, crowd: Crowd, probe: Probe) -> Measured:
        """Runs a round; EndpointDownError if the endpoint no longer answers."""
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
        """Warms up for one mean request: until as many requests have ended as there are users.

        New users arrive at the rate at which requests will end. If all arrived at once, their
        prompts would form a wave, and its TTFT would be judged as that of the steady load. Requests
        sent after all have arrived are judged if they end in the window; requiring that they also
        begin in it would leave out the long ones.
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
        """Lets the queue drain after a round with more users, whose waits would distort this one.

        If the queue has not drained after one mean request, there are too many users; the round is
        judged all the same. It does not wait for an endpoint that does not report its queue.
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
        """Mean seconds of a served request, or the assumed ones if none was served."""
        served = [each.e2e_s for each in self._ended if each.outcome is Outcome.ANSWERED]
        return sum(served) / len(served) if served else self._mean_s

    def _served(self) -> int:
        """Requests that ended, without refusals: these say nothing about service time."""
        return sum(record.outcome is not Outcome.REFUSED for record in self._ended)

    def _observe(self, crowd: Crowd, probe: Probe, window: Window, began_s: float) -> Counter[str]:
        """Waits for the end of the window; counts how often each limit was seen to bind."""
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
        """Checks records until `is_over`, which takes the modelled seconds since the start.

        `hear` receives the endpoint's state once a real second.
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
