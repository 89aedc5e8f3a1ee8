"""The setup for rounds: a checked endpoint, a crowd of users, progress on the terminal."""

import argparse
import math
import random
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

from admission.terms.slo import Slo
from loadtests.asking.ask import Fitting, Scenario
from loadtests.asking.behaviour import JUDGE
from loadtests.asking.prompts import Ending, Route
from loadtests.asking.tenants import nobody
from loadtests.client.attempt import HttpLine
from loadtests.client.clock import ModelledClock
from loadtests.client.facts import EndpointFacts, connect
from loadtests.client.journey import Session
from loadtests.client.sampler import Sampler
from loadtests.client.self_test import require_reader
from loadtests.document.terminal import table_lines
from loadtests.judging.search import Probe
from loadtests.limit.crowd import Crowd
from loadtests.limit.rounds import SOAK, WARM_UP_MOST_S, Measured, Rounds
from loadtests.limit.text import table
from loadtests.origin import origin
from loadtests.prompts import Prompts, about_prompts
from loadtests.record import Record, RecordFile
from loadtests.recording import Recording

_DRAWS = 200  # for a mean within some percent
_WIDTH = 78  # of a line that the next one covers


@dataclass(frozen=True, slots=True)
class Bench:
    """`run` runs one round; `recording` receives every record."""

    facts: EndpointFacts
    crowd: Crowd
    rounds: Rounds
    recording: Recording

    def run(self, probe: Probe) -> Measured:
        """Runs one round; EndpointDownError if the endpoint no longer answers."""
        measured = self.rounds.run(self.crowd, probe)
        *_, row = table_lines(table([measured]))
        sys.stderr.write(f"{_clear()}{row}\n")
        return measured


@contextmanager
def bench(args: argparse.Namespace, scenario: Scenario, slo: Slo) -> Iterator[Bench]:
    """A bench for the block; afterwards all users have hung up and all files are closed.

    ReaderError, EndpointDownError or ValueError if nothing may start.
    """
    require_reader()
    api, facts = connect(args.host, args.api_key, args.model)
    for word in (*facts.notes, *_words(scenario)):
        sys.stderr.write(f"{word}\n")
    clock = ModelledClock(facts.time_scale)
    name = f"limit-{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:6]}"
    ending = None if args.ending is None else Ending(args.ending)
    dialect = facts.dialect(Route[args.route.upper()], ending)
    session = Session(HttpLine(api.sender, clock), clock, dialect, JUDGE, name)
    soak = replace(SOAK, least_s=args.soak_s, least_finished=args.soak_requests)
    rng = random.Random(args.seed)  # noqa: S311 - a workload, no secret
    fitting = Fitting(scenario, facts.max_model_len)
    mean_s = _may_take_s(fitting.fresh(), slo, rng)
    rounds = Rounds(api, clock, slo, soak=soak, say=_progress, mean_s=mean_s)
    about = _about(args, name, facts, slo) | about_prompts(scenario)
    recording = _recording(args, about)
    sampler = Sampler(api, clock, recording.sample)

    def tell(record: Record) -> None:
        rounds.hear(record)
        recording.add(record)

    (tenant,) = nobody(args.api_key)
    crowd = Crowd(session, fitting, tenant, rng, tell)
    try:
        sampler.start()
        yield Bench(facts, crowd, rounds, recording)
    finally:
        sys.stderr.write(_clear())
        sampler.stop()
        crowd.stop()
        api.close()
        recording.close()


def _words(scenario: Scenario) -> Iterator[str]:
    if isinstance(scenario, Prompts):
        yield scenario.word()


def _may_take_s(scenario: Fitting, slo: Slo, rng: random.Random) -> float:
    """Seconds of a mean request that just keeps the SLO, at most the longest warm-up.

    0 if the SLO has no latency bound. ValueError if the scenario cannot be drawn from.
    """
    tokens = sum(scenario.draw(rng).output_tokens for _ in range(_DRAWS)) / _DRAWS
    seconds = slo.ttft_s + slo.tpot_s * tokens
    return min(seconds, WARM_UP_MOST_S) if math.isfinite(seconds) else 0.0


def _recording(args: argparse.Namespace, about: Mapping[str, Any]) -> Recording:
    file = args.records and RecordFile(args.records.open("w", encoding="utf-8"), about)
    return Recording(about, file)


def _about(args: argparse.Namespace, name: str, facts: EndpointFacts, slo: Slo) -> dict[str, Any]:
    """The run's parameters and its endpoint, without API keys."""
    return {
        "run": name,
        "at": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "url": args.host,
        "scenario": args.scenario,
        "load": f"{args.concurrency} users" if args.concurrency else "search",
        "route": args.route,
        "ending": args.ending,
        "soak_s": args.soak_s,
        "soak_requests": args.soak_requests,
        "seed": args.seed,
        "slo": str(slo),
        "endpoint": asdict(facts),
        **origin(),
    }


def _progress(said: str) -> None:
    """Overwrites one line of progress; prints nothing if stderr is not a terminal."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{said:<{_WIDTH}}")
        sys.stderr.flush()


def _clear() -> str:
    return f"\r{'':<{_WIDTH}}\r" if sys.stderr.isatty() else ""
