r"""Admission under overload, on the simulated 8 x A10: goodput, TTFT, preemptions, refusals.

Open loop, the same arrivals in every arm. 1x is what `sluice limit` found to be sustained:

    .venv/bin/python -m tests.bench.overload --folder bench-results/overload \
        --load loadtests/traces/azure2023_conv.csv.gz:1.1 --load long-context:0.11:320:30:4

A load is SCENARIO:RATE or TRACE:RATE, requests per modelled second, then perhaps how many modelled
seconds it lasts, its TTFT bound, and how many at once the arm `static` takes. The engine is one of
the 4 x TP 2 unless `--tp` says otherwise: there the cache is small enough to bind. A trace brings
its own arrivals, faster or slower; a scenario's are Poisson.
Users say their TTFT bound (x-slo-ttft-ms) and hang up without a first token after six times that.
A cell that is in the folder already is not run again.
"""

import argparse
import csv
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from admission.terms.slo import Slo
from loadtests.asking.trace_file import is_trace, read_rows
from loadtests.judging.percentiles import percentile
from loadtests.judging.verdict import is_good
from loadtests.record import Outcome, read_run
from tests.bench.report import machine, table
from tests.live.ask import metric, nothing_held
from tests.live.gateway import ROOT, Gateway, free_port, serve, wait_until, write_profile

_BASE = "sim-qwen3-32b-8xa10"
_SPEED = 4.0  # two cores keep up with it
_TIMES = (1.0, 2.0, 4.0)
_SECONDS = 160.0
_PATIENCE = 6.0  # TTFT bounds until a user hangs up
_QUIET_S = 120.0  # real seconds until a run has left nothing in the engine
_HEAD = (
    "load",
    "admission",
    "offered/s",
    "goodput",
    "answered",
    "refused",
    "hung up",
    "TTFT p50 s",
    "TTFT p99 s",
    "TPOT p95 ms",
    "preemptions",
)


@dataclass(frozen=True, slots=True)
class Load:
    """`what` = a scenario or a trace's file, `per_s` its 1x, `ttft_s` what its users were told.

    `places` = the N of `static`.
    """

    what: str
    per_s: float
    seconds: float = _SECONDS
    ttft_s: float = 10.0
    places: int = 48

    @property
    def name(self) -> str:
        """Without folder and endings."""
        return Path(self.what).name.split(".")[0]


def arms(load: Load, args: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Ours, its baselines, and vLLM with limits of its own: name -> sections of the profile."""
    queue = {
        "max_num_queued_tokens": args.queued_tokens,
        "max_num_queued_reqs": args.queued_requests,
    }
    static = {"policy": "static", "static": {"limit": load.places}, "tpot_target_s": None}
    return {
        "footprint": {"admission": {"tpot_target_s": args.tpot}},
        "off": {"admission": {"mode": "off"}},
        "static": {"admission": static},
        "worst_case": {"admission": {"policy": "worst_case", "tpot_target_s": None}},
        "vLLM's queue": {"admission": {"mode": "off"}, "engine_args": queue},
    }


@contextmanager
def running(tp: int, sections: Mapping[str, Any], folder: Path) -> Iterator[Gateway]:
    """A gateway under one arm's settings, gone afterwards."""
    changes = dict(sections)
    changes["engine_args"] = {"tensor_parallel_size": tp, **changes.get("engine_args", {})}
    profile = write_profile(folder, base=_BASE, simulation={"speed": _SPEED}, **changes)
    gateway = serve(profile, port=free_port(), folder=folder)
    try:
        gateway.wait_until_ready()
        yield gateway
    finally:
        gateway.end()


def asked(load: Load, times: float, folder: Path) -> list[str]:
    """Locust's options that make this load."""
    per_s = load.per_s * times
    if not is_trace(load.what):
        options = ["--scenario", load.what, "--shape", "steady"]
        return [*options, "--rate", f"{per_s:g}", "--duration", f"{load.seconds:g}"]
    path = folder / f"{load.name}-{times:g}.csv"
    _write_trace(path, load, per_s)
    return ["--shape", "trace", "--trace", str(path)]


def _write_trace(path: Path, load: Load, per_s: float) -> None:
    """The trace's first requests, as many as come in the time; its gaps, at another pace."""
    rows = read_rows(ROOT / load.what)[: round(per_s * load.seconds)]
    times_s = [row.at_s or 0.0 for row in rows]
    pace = load.seconds / (max(times_s) - min(times_s))
    with path.open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file)
        out.writerow(("timestamp_s", "prompt_tokens", "output_tokens", "prefix_block_ids_512"))
        for row, at_s in zip(rows, times_s, strict=True):
            shifted_s = (at_s - min(times_s)) * pace
            out.writerow((shifted_s, row.prompt_tokens, row.output_tokens, " ".join(row.blocks)))


def play(gateway: Gateway, load: Load, times: float, tpot_s: float, folder: Path) -> dict[str, Any]:
    """One cell: what became of each request, in a few numbers."""
    slo = Slo(ttft_s=load.ttft_s, tpot_s=tpot_s)
    records = folder / f"run-{load.name}-{times:g}-{time.time():.0f}.jsonl"
    locust = ["-m", "locust", "-f", "loadtests/locustfile.py", "--headless", "-u", "1"]
    told = ["--deadline-ms", f"{slo.ttft_s * 1000:.0f}", "--patience", f"{slo.ttft_s * _PATIENCE}"]
    files = ["--slo", str(slo), "--records", str(records), "--only-summary"]
    before = metric(gateway, "vllm:num_preemptions_total")
    command = [sys.executable, *locust, "--host", gateway.url, *told, *files]
    subprocess.run(  # noqa: S603 - our own command
        [*command, *asked(load, times, folder)], cwd=ROOT, check=False, capture_output=True
    )
    wait_until(lambda: nothing_held(gateway), within_s=_QUIET_S, what=gateway.written)
    preempted = metric(gateway, "vllm:num_preemptions_total") - before
    return _cell(records, slo, load.seconds) | {"preemptions": int(preempted)}


def _cell(records: Path, slo: Slo, seconds: float) -> dict[str, Any]:
    run = read_run(records)
    ends = [record.outcome for record in run.records]
    ttft_s = [r.ttft_s for r in run.records if r.ttft_s is not None]
    tpot_s = [r.tpot_s for r in run.records if r.tpot_s is not None]
    return {
        "offered": len(ends),
        "offered_per_s": len(ends) / seconds,
        "good": sum(is_good(record, slo) for record in run.records),
        **{outcome.value: ends.count(outcome) for outcome in Outcome},
        "ttft_p50_s": percentile(ttft_s, 0.5) if ttft_s else None,
        "ttft_p99_s": percentile(ttft_s, 0.99) if ttft_s else None,
        "tpot_p95_s": percentile(tpot_s, 0.95) if tpot_s else None,
        "client": dict(run.client),
    }


def row(load: Load, times: float, arm: str, cell: Mapping[str, Any]) -> list[str]:
    """One line of the table; `!` where client or engine could not keep up."""
    flawed = "!" if cell["client"].get("flaws") else ""
    return [
        f"{load.name} {times:g}x{flawed}",
        arm,
        f"{cell['offered_per_s']:.2f}",
        f"{cell['good'] / max(1, cell['offered']):.1%}",
        str(cell["answered"]),
        str(cell["refused"] + cell["failed"]),
        str(cell["timed_out"]),
        _number(cell["ttft_p50_s"], 1),
        _number(cell["ttft_p99_s"], 1),
        _number(cell["tpot_p95_s"], 1000, digits=0),
        str(cell["preemptions"]),
    ]


def _number(value: float | None, times: float, *, digits: int = 1) -> str:
    return "-" if value is None else f"{value * times:.{digits}f}"


def measure(name: str, loads: list[Load], args: argparse.Namespace) -> None:
    """What the folder does not hold of an arm; loads with the same settings share a gateway."""
    for settings in _distinct([_sections(name, load, args) for load in loads]):
        alike = [load for load in loads if _sections(name, load, args) == settings]
        missing = [
            (load, times)
            for load in alike
            for times in _TIMES
            if not _path(args.folder, name, load, times).exists()
        ]
        if not missing:
            continue
        with running(args.tp, settings, args.folder) as gateway:
            for load, times in missing:
                cell = play(gateway, load, times, args.tpot, args.folder)
                _path(args.folder, name, load, times).write_text(json.dumps(cell))
                sys.stderr.write("  " + " | ".join(row(load, times, name, cell)) + "\n")


def _sections(name: str, load: Load, args: argparse.Namespace) -> dict[str, Any]:
    return arms(load, args)[name]


def _distinct(values: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [value for place, value in enumerate(values) if value not in values[:place]]


def _path(folder: Path, name: str, load: Load, times: float) -> Path:
    return folder / f"{name}-{load.name}-{times:g}.json"


def _load(text: str) -> Load:
    what, per_s, *more = text.split(":")
    kinds = (float, float, int)
    return Load(what, float(per_s), *(kind(x) for kind, x in zip(kinds, more, strict=False)))


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--load", type=_load, action="append", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--tp", type=int, default=2)
    parser.add_argument("--tpot", type=float, default=0.2)
    parser.add_argument("--queued-tokens", type=int, default=20_000, help="TTFT x prefill rate")
    parser.add_argument("--queued-requests", type=int, default=64)
    parser.add_argument("--only", action="append", metavar="ARM", help="these arms; default: all")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    names = args.only or list(arms(args.load[0], args))
    for name in names:
        measure(name, args.load, args)
    print(f"`python -m tests.bench.overload {' '.join(sys.argv[1:])}`, {machine()}\n")
    rows = [
        row(load, times, name, json.loads(_path(args.folder, name, load, times).read_text()))
        for load in args.load
        for times in _TIMES
        for name in names
    ]
    print(table(_HEAD, rows))


if __name__ == "__main__":
    main()
