"""The options of a load test, for Locust's command line and web page alike."""

import argparse
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from admission.terms.slo import Slo, parse_slo
from loadtests.asking.ask import Fitting, Scenario
from loadtests.asking.behaviour import Behaviour
from loadtests.asking.prompts import Ending, Route
from loadtests.asking.schedule import Arrival, drawn, replayed
from loadtests.asking.tenants import Tenant, nobody, one_greedy, read_tenants
from loadtests.asking.trace_file import Row, read_rows
from loadtests.prompts import load_prompts
from loadtests.scenarios import SCENARIOS, find_scenario
from loadtests.shapes import GREEDY_TENANTS, SHAPES, Shape, find_shape

CLOSED = "closed"  # Locust's users, each waiting for its answer
TRACE = "trace"
_JUDGE = Behaviour()
_AUTO = "auto"

# (flag, type, default, choices, help)
_OPTIONS = (
    ("--model", str, "", None, "model to ask for; needed where the endpoint has several"),
    ("--scenario", str, "chat", None, f"what is asked: {', '.join(SCENARIOS)}, or a trace file"),
    ("--prompts", str, "", None, "file of prompts to ask in place of a scenario"),
    (
        "--shape",
        str,
        CLOSED,
        (CLOSED, TRACE, *SHAPES),
        "closed: so many users, each waiting for its answer; others: arrivals that do not wait",
    ),
    ("--rate", float, 1.0, None, "requests per modelled second that count as 1x in a shape"),
    ("--duration", float, 300.0, None, "modelled seconds that a shape lasts"),
    ("--cv", float, 1.0, None, "burstiness of arrivals: 1 = Poisson, above = gamma bursts"),
    ("--trace", str, "", None, "trace file (CSV, plain or gzip) for the shape trace"),
    ("--trace-speed", float, 1.0, None, "plays the trace so many times faster"),
    ("--trace-rate", float, 1.0, None, "share of the trace's requests; above 1 some come twice"),
    ("--think", float, 0.0, None, "mean modelled seconds a user of a closed loop thinks"),
    ("--retries", int, _JUDGE.retries, None, "times a refused user comes back"),
    ("--obey", float, _JUDGE.obeys_retry_after, None, "share that waits as Retry-After says"),
    ("--patience", float, 0.0, None, "modelled seconds until the first token; 0 = endless"),
    ("--hang-up", float, _JUDGE.hangs_up, None, "share that leaves in the middle of an answer"),
    ("--tenants", str, "", None, "file with lines of: NAME KEY [WEIGHT]"),
    ("--api-key", str, "", None, "key for what the run itself asks; an administrator's if it can"),
    ("--route", str, Route.CHAT.name.lower(), tuple(r.name.lower() for r in Route), "API to use"),
    ("--ending", str, _AUTO, (_AUTO, *Ending), "who decides how long answers are"),
    ("--deadline-ms", int, 0, None, "x-slo-ttft-ms of every request; 0 = not sent"),
    ("--slo", str, "", None, "e.g. ttft_p95<=2s,tpot_p95<=100ms,success>=99%%; sets the exit code"),
    ("--seed", int, 1, None, "of everything that is drawn"),
    ("--records", str, "", None, "file for one JSON line per request; default: RUN.jsonl"),
    ("--report", str, "", None, "folder for the report: page, charts, CSV; default: none"),
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """All of them, in a group of their own."""
    group = parser.add_argument_group("Sluice load test")
    for flag, kind, default, choices, what in _OPTIONS:
        group.add_argument(flag, type=kind, default=default, choices=choices, help=what)


@dataclass(frozen=True, slots=True)
class Options:
    """What a run is to do. `shape` is None for a closed loop, and where a trace is replayed."""

    scenario: Scenario
    closed: bool
    shape: Shape | None
    per_s: float
    duration_s: float
    cv: float
    trace: tuple[Row, ...] | None
    trace_name: str
    trace_speed: float
    trace_rate: float
    think_s: float
    behaviour: Behaviour
    crowd: tuple[Tenant, ...]
    api_key: str | None
    route: Route
    ending: Ending | None
    deadline_ms: int | None
    slo: Slo | None
    seed: int
    records: Path | None
    report: Path | None
    model: str | None
    users: int | None  # of a closed loop, as Locust was told

    def load(self) -> str:
        """The load in words, for the run's file."""
        if self.closed:
            return "closed loop" if self.users is None else f"closed loop, {self.users} users"
        if self.trace is not None:
            return f"{self.trace_name}, {self.trace_speed:g}x speed, {self.trace_rate:g}x requests"
        name = self.shape.name if self.shape else ""
        return f"{name} for {self.duration_s:g} s, 1x = {self.per_s:g}/s, cv {self.cv:g}"

    def arrivals(self, rng: random.Random, context_tokens: int | None) -> Iterator[Arrival]:
        """Of an open loop, as far as the context holds them; ValueError without times."""
        if self.trace is not None:
            return replayed(
                self.trace,
                self.crowd,
                rng,
                speed=self.trace_speed,
                rate=self.trace_rate,
                context_tokens=context_tokens,
            )
        assert self.shape is not None  # noqa: S101 - `closed` was asked before
        curve = self.shape.curve(self.per_s, self.duration_s)
        fitting = Fitting(self.scenario, context_tokens)
        return drawn(curve, fitting, self.crowd, rng, cv=self.cv)


def read_options(given: argparse.Namespace) -> Options:
    """Checked; ValueError says which one is wrong and what would be right."""
    route = Route[given.route.upper()]
    ending = None if given.ending == _AUTO else Ending(given.ending)
    shape = find_shape(given.shape) if given.shape not in (CLOSED, TRACE) else None
    if given.shape == TRACE and not given.trace:
        raise ValueError("--shape trace needs --trace FILE")
    if given.shape == TRACE and given.prompts:
        raise ValueError("--shape trace asks what its rows ask: not with --prompts")
    return Options(
        scenario=load_prompts(Path(given.prompts), route, ending)
        if given.prompts
        else find_scenario(given.scenario),
        closed=given.shape == CLOSED,
        shape=shape,
        per_s=_positive("--rate", given.rate),
        duration_s=_positive("--duration", given.duration),
        cv=given.cv,
        trace=tuple(read_rows(Path(given.trace))) if given.shape == TRACE else None,
        trace_name=given.trace,
        trace_speed=_positive("--trace-speed", given.trace_speed),
        trace_rate=_positive("--trace-rate", given.trace_rate),
        think_s=given.think,
        behaviour=Behaviour(given.retries, given.obey, given.patience or math.inf, given.hang_up),
        crowd=_crowd(given, shape),
        api_key=given.api_key or None,
        route=route,
        ending=ending,
        deadline_ms=given.deadline_ms or None,
        slo=parse_slo(given.slo) if given.slo else None,
        seed=given.seed,
        records=Path(given.records) if given.records else None,
        report=Path(given.report) if given.report else None,
        model=given.model or None,
        users=getattr(given, "num_users", None),
    )


def _positive(flag: str, value: float) -> float:
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{flag} {value!r} is no positive number")
    return value


def _crowd(given: argparse.Namespace, shape: Shape | None) -> tuple[Tenant, ...]:
    """Without a file of tenants everybody is the one whose key the run has, if any."""
    crowd = read_tenants(Path(given.tenants)) if given.tenants else nobody(given.api_key or None)
    if shape is None or shape.greedy == 1:
        return crowd
    if len(crowd) < GREEDY_TENANTS:
        raise ValueError(f"--shape {shape.name} needs --tenants FILE with {GREEDY_TENANTS} keys")
    return one_greedy(crowd[:GREEDY_TENANTS], shape.greedy)
