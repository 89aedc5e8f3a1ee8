"""One run: checked before it starts, recorded while it lasts, judged when it is over."""

import random
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import gevent

from admission.terms.slo import Slo
from loadtests.asking import tenants
from loadtests.asking.ask import Fitting
from loadtests.asking.schedule import Arrival
from loadtests.client.api import Api
from loadtests.client.attempt import HttpLine
from loadtests.client.clock import ModelledClock
from loadtests.client.facts import EndpointFacts, connect, read_state
from loadtests.client.journey import Session
from loadtests.client.loops import ask_once, pause_s, play
from loadtests.client.sampler import Sampler
from loadtests.client.self_test import require_reader
from loadtests.client.watch import ClientReport, ClientWatch
from loadtests.judging.summary import Summary, summarize
from loadtests.judging.verdict import Verdict, judge
from loadtests.options import Options
from loadtests.origin import origin
from loadtests.prompts import about_prompts
from loadtests.record import Record, RecordFile
from loadtests.recording import Recording

_DRAIN = "/v1/admission/drain"


@dataclass(slots=True)
class Run:
    """What a run is made of; `begin` makes one."""

    options: Options
    api: Api
    facts: EndpointFacts
    session: Session
    clock: ModelledClock
    watch: ClientWatch
    path: Path
    recording: Recording
    sampler: Sampler
    rng: random.Random
    tell: Callable[[Record], None]  # hears of every request that ended
    sent: int = 0  # conversations begun, ended or not; most have one request

    def turn(self) -> None:
        """A closed loop's user: thinks, asks, waits for the end."""
        if self.options.think_s:
            self.clock.sleep(self.rng.expovariate(1 / self.options.think_s))
        tenant = tenants.draw(self.options.crowd, self.rng)
        self.sent += 1
        fitting = Fitting(self.options.scenario, self.facts.max_model_len)
        think_s = self.options.think_s
        for record in ask_once(self.session, fitting, tenant, self.rng, self.sent, think_s=think_s):
            self._keep(record)
            self.clock.sleep(pause_s(record))

    def play(self) -> None:
        """An open loop, from its first arrival to its last answer."""
        drain = self._drain_later()
        try:
            think_s = self.options.think_s
            play(self.session, self._arrivals(), self.rng, self._keep, think_s=think_s)
        finally:
            if drain is not None:
                drain.kill()

    def end(self) -> ClientReport:
        """Closes the file; says how the client did."""
        self.watch.stop()
        self.watch.hear(read_state(self.api))
        self.sampler.stop()
        report = self.watch.report([each.lag_s for each in self._records])
        self.recording.end(report.told() | {"unfinished": self.session.going.requests})
        self.recording.close()
        self.api.close()
        return report

    def verdict(self) -> Verdict:
        """The promise on all that was recorded; one without terms where none was given."""
        return judge(self._records, self.options.slo or Slo())

    def summary(self) -> Summary:
        """From the beginning until now."""
        return summarize(self._records, self.options.slo or Slo(), self.clock.now_s())

    @property
    def _records(self) -> list[Record]:
        return self.recording.records

    def _arrivals(self) -> Iterator[Arrival]:
        for arrival in self.options.arrivals(self.rng, self.facts.max_model_len):
            self.sent += 1
            yield arrival

    def _keep(self, record: Record) -> None:
        self.recording.add(record)
        self.tell(record)

    def _drain_later(self) -> gevent.Greenlet | None:
        shape = self.options.shape
        if shape is None or shape.drains_at is None:
            return None
        return gevent.spawn(self._drain, shape.drains_at * self.options.duration_s)

    def _drain(self, after_s: float) -> None:
        self.clock.sleep(after_s)  # gevent.spawn_later counts from a stale clock, and is early
        self.api.ask(_DRAIN, {})


def begin(url: str, options: Options, tell: Callable[[Record], None]) -> Run:
    """Checks reader and endpoint, opens the file, starts the watch.

    ReaderError, EndpointDownError or ValueError where it must not start.
    """
    require_reader()
    api, facts = connect(url, options.api_key, options.model)
    clock = ModelledClock(facts.time_scale)
    name = f"run-{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:6]}"
    session = Session(
        line=HttpLine(api.sender, clock),
        clock=clock,
        dialect=facts.dialect(options.route, options.ending),
        behaviour=options.behaviour,
        run=name,
        deadline_ms=options.deadline_ms,
    )
    rng = random.Random(options.seed)  # noqa: S311 - a workload, no secret
    Fitting(options.scenario.fresh(), facts.max_model_len).draw(rng)  # said now, not by each user
    if options.report is not None:
        options.report.mkdir(parents=True, exist_ok=True)  # not only said when all is over
    path = options.records or Path(f"{name}.jsonl")
    about = _about(name, url, options, facts) | about_prompts(options.scenario)
    recording = Recording(about, RecordFile(path.open("w", encoding="utf-8"), about))
    watch, sampler = ClientWatch(clock), Sampler(api, clock, recording.sample)
    watch.start()
    watch.hear(read_state(api))
    sampler.start()
    return Run(options, api, facts, session, clock, watch, path, recording, sampler, rng, tell)


def _about(name: str, url: str, options: Options, facts: EndpointFacts) -> dict[str, object]:
    """The first line of the file: what was asked of whom. No keys."""
    return {
        "run": name,
        "at": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "url": url,
        "scenario": options.scenario.name,
        "load": options.load(),
        "route": options.route.name.lower(),
        "ending": options.ending,
        "think_s": options.think_s,
        "deadline_ms": options.deadline_ms,
        **asdict(options.behaviour),
        "seed": options.seed,
        "slo": str(options.slo) if options.slo else None,
        "endpoint": asdict(facts),
        **origin(),
    }
