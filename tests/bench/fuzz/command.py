"""The command line: start a gateway or take a running one, play, and print what was found."""

import argparse
import asyncio
import itertools
import math
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from tests.bench.fuzz.aftermath import Sample, growth, sample, unsettled
from tests.bench.fuzz.case import Case
from tests.bench.fuzz.mutate import Mutator
from tests.bench.fuzz.play import CALLERS, Played, play
from tests.bench.report import machine, table
from tests.live.gateway import ROOT, free_port, serve

_PROFILE = ROOT / "tests" / "bench" / "fuzz.yaml"


def main(words: Sequence[str] | None = None) -> int:
    """0 when nothing was found, else 1."""
    given = _arguments(words)
    if given.url is not None:
        return _fuzz(given, given.url, pids=list)
    with tempfile.TemporaryDirectory() as folder:
        gateway = serve(given.config, port=free_port(), folder=Path(folder))
        try:
            gateway.wait_until_ready()
            return _fuzz(given, gateway.url, pids=gateway.living)
        finally:
            gateway.end()


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=100_000, help="how many to send at most")
    parser.add_argument("--seconds", type=float, default=math.inf, help="how long at most")
    parser.add_argument("--seed", type=int, default=1, help="the same seed sends the same cases")
    parser.add_argument(
        "--described", type=int, default=500, help="so many of them by Schemathesis, which is slow"
    )
    parser.add_argument("--model", help="its name at the gateway; else the profile's")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--url", help="a gateway that runs already, without keys")
    where.add_argument("--config", type=Path, default=_PROFILE, help="a profile to start one with")
    given = parser.parse_args(words)
    if given.model is None:
        profile = yaml.safe_load(given.config.read_text())
        given.model = profile["engine_args"]["served_model_name"]
    return given


def _fuzz(given: argparse.Namespace, url: str, *, pids: Callable[[], list[int]]) -> int:
    parts = urlsplit(url)
    address = parts.hostname or "127.0.0.1", parts.port or 80
    cases = itertools.chain(_described(given), Mutator(given.seed, given.model).cases())
    samples = list[Sample]()
    played = asyncio.run(
        play(
            address,
            cases,
            most=given.cases,
            seconds=given.seconds,
            meanwhile=lambda: samples.append(sample(pids())),
        )
    )
    complaints = [said for said in (unsettled(address), growth(samples)) if said is not None]
    print(report(played, url, seed=given.seed))
    if pids():
        last = samples[-1]
        print(f"\nat the end {last.rss_bytes >> 20} MiB, {last.open_files} open files")
    print(*complaints, sep="\n")
    return 1 if played.findings or complaints else 0


def _described(given: argparse.Namespace) -> list[Case]:
    """Drawn before anything is sent: drawing takes as long as answering."""
    if not given.described:
        return []
    from tests.bench.fuzz.described import described_cases  # noqa: PLC0415 - imports vLLM

    return list(itertools.islice(described_cases(given.seed, given.model), given.described))


def report(played: Played, url: str, *, seed: int) -> str:
    """Routes by status, and each kind of fault with a command that shows it again."""
    routes = sorted({route for route, _ in played.statuses})
    statuses = sorted({status for _, status in played.statuses})
    rows = [[r, *(str(played.statuses[r, status] or "") for status in statuses)] for r in routes]
    rate = played.cases / max(played.taken_s, 1e-9)
    lines = [
        f"{played.cases} cases, seed {seed}, {CALLERS} at a time, {rate:.0f} a second, {machine()}",
        f"GET /health took {played.slowest_health_s:.2f} s at the most",
        "",
        table(["route", *statuses], rows),
        "",
        f"{len(played.findings)} kinds of fault",
    ]
    for finding in sorted(played.findings.values(), key=lambda found: -found.count):
        lines += ["", f"{finding.count} x {finding.case.path}: {finding.fault}"]
        lines += [finding.case.line()[:2000]]
        lines += [finding.case.curl(url)[:2000]] if sys.stdout.isatty() else []
    return "\n".join(lines)
