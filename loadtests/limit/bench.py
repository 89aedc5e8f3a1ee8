"""What rounds are run on: the endpoint, checked; a crowd; progress on the terminal."""

import argparse
import math
import random
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from admission.slo import Slo
from loadtests.asking.ask import Fitting
from loadtests.asking.behaviour import JUDGE
from loadtests.asking.prompts import Ending, Route
from loadtests.asking.tenants import nobody
from loadtests.client.api import Api
from loadtests.client.attempt import HttpLine
from loadtests.client.clock import ModelledClock
from loadtests.client.facts import Facts, read_facts
from loadtests.client.journey import Session
from loadtests.client.self_test import require_reader
from loadtests.judging.search import Probe
from loadtests.limit.crowd import Crowd
from loadtests.limit.rounds import SOAK, Measured, Rounds
from loadtests.limit.text import table
from loadtests.record import Record, RecordFile
from loadtests.scenarios import find_scenario

_DRAWS = 200  # for a mean within some percent
_WIDTH = 78  # of a line that the next one covers


@dataclass(frozen=True, slots=True)
class Bench:
    """`run` does one round."""

    facts: Facts
    crowd: Crowd
    rounds: Rounds

    def run(self, probe: Probe) -> Measured:
        """EndpointDownError where it does not answer any more."""
        measured = self.rounds.run(self.crowd, probe)
        _, row = table([measured]).splitlines()
        sys.stderr.write(f"{_clear()}{row}\n")
        return measured


@contextmanager
def bench(args: argparse.Namespace, slo: Slo) -> Iterator[Bench]:
    """Everybody has hung up and every file is closed afterwards.

    ReaderError, EndpointDownError or ValueError where nothing must start.
    """
    require_reader()
    api = Api(args.host, key=args.api_key)
    facts = read_facts(api)
    clock = ModelledClock(facts.time_scale)
    name = f"limit-{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:6]}"
    ending = None if args.ending is None else Ending(args.ending)
    dialect = facts.dialect(Route[args.route.upper()], ending)
    session = Session(HttpLine(api.client, clock), clock, dialect, JUDGE, name)
    soak = replace(SOAK, least_s=args.soak_s, least_finished=args.soak_requests)
    rng = random.Random(args.seed)  # noqa: S311 - a workload, no secret
    scenario = Fitting(find_scenario(args.scenario), facts.max_model_len)
    mean_s = _may_take_s(scenario, slo, rng)
    rounds = Rounds(api, clock, slo, soak=soak, say=_progress, mean_s=mean_s)
    file = _records(args, name, facts, slo)

    def tell(record: Record) -> None:
        rounds.hear(record)
        if file is not None:
            file.add(record)

    (tenant,) = nobody(args.api_key)
    crowd = Crowd(session, scenario, tenant, rng, tell)
    try:
        yield Bench(facts, crowd, rounds)
    finally:
        sys.stderr.write(_clear())
        crowd.stop()
        api.close()
        if file is not None:
            file.close()


def _may_take_s(scenario: Fitting, slo: Slo, rng: random.Random) -> float:
    """Seconds of a mean request that just keeps the SLO; 0 where that bounds nothing.

    ValueError where the scenario cannot be drawn from.
    """
    tokens = sum(scenario.draw(rng).output_tokens for _ in range(_DRAWS)) / _DRAWS
    seconds = slo.ttft_s + slo.tpot_s * tokens
    return seconds if math.isfinite(seconds) else 0.0


def _records(args: argparse.Namespace, name: str, facts: Facts, slo: Slo) -> RecordFile | None:
    if args.records is None:
        return None
    about = {"run": name, "url": args.host, "scenario": args.scenario, "slo": str(slo)}
    endpoint = {"model": facts.model, "time_scale": facts.time_scale, "mode": facts.mode}
    return RecordFile(args.records.open("w", encoding="utf-8"), about | {"endpoint": endpoint})


def _progress(said: str) -> None:
    """One line that is always overwritten; nothing where nobody watches."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{said:<{_WIDTH}}")
        sys.stderr.flush()


def _clear() -> str:
    return f"\r{'':<{_WIDTH}}\r" if sys.stderr.isatty() else ""
