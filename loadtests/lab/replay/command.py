"""`sluice lab replay`: replays logged traffic, also under another configuration."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import replace

from admission.price.footprint import EngineShape
from admission.terms.settings import Settings
from loadtests.lab.replay.entry import LogEntry
from loadtests.lab.replay.play import EnginesLike, replay
from loadtests.lab.replay.read import Log, read_log
from loadtests.lab.replay.report import ReplayRun, Report
from loadtests.lab.replay.stand_in import differences, playable
from loadtests.lab.replay.text import text
from loadtests.lab.replay.traffic import parts_of
from loadtests.lab.replay.true_lengths import lengths_of
from serve.exits import Exit
from serve.profile.settings import Profile, ProfileError, load_admission, load_profile


def main(args: argparse.Namespace) -> int:
    """Reads the log, replays it if a profile gives an engine, prints; returns the exit code."""
    try:
        report = _report(args)
    except (ProfileError, ValueError) as problem:
        sys.stderr.write(f"sluice lab: {problem}\n")
        return Exit.BAD_INPUT
    for warning in report.warnings:
        sys.stderr.write(f"{args.log}: {warning}\n")
    told = json.dumps(report.as_json(), indent=2) + "\n" if args.json else text(report)
    sys.stdout.write(told)
    return Exit.GOOD


def _report(args: argparse.Namespace) -> Report:
    if args.admission is not None and args.config is None:
        raise ValueError("--admission needs --config: which engine the log is played on")
    log = _cut(read_log(args.log), args)
    lengths = lengths_of(log.entries, seed=args.seed)
    report = Report(log, lengths, seed=args.seed, warm_up=args.warm_up, warnings=log.warnings)
    return report if args.config is None else _played(report, args)


def _played(report: Report, args: argparse.Namespace) -> Report:
    """The report with the requested replays."""
    log, profile = report.log, load_profile(args.config)
    new = None if args.admission is None else load_admission(args.admission)
    logged = _shape_of(log.entries)
    on = playable(profile, logged, args.kv_tokens)
    engines = _engines(on.profile, on.kv_tokens)
    unlike = [] if logged is None else differences(logged, engines.shape)
    warnings = (
        *log.warnings,
        *_other_settings(log, profile),
        *(f"the engine is another: {each}" for each in unlike),
    )
    now = profile.admission.settings()
    runs = [_run("replayed", report, engines, now, now)]
    if new is not None:
        runs.append(_run("new", report, engines, now, new.settings()))
    new_hash = None if new is None else new.hash()
    return replace(report, replays=tuple(runs), warnings=warnings, new_hash=new_hash)


def _cut(log: Log, args: argparse.Namespace) -> Log:
    last = None
    if args.limit_requests is not None:
        last = args.skip + args.warm_up + args.limit_requests
    entries = log.entries[args.skip : last]
    if len(entries) <= args.warm_up:
        raise ValueError(f"{args.log}: {len(log.entries)} requests: none is left to be counted")
    return replace(log, entries=entries)


def _other_settings(log: Log, profile: Profile) -> Sequence[str]:
    """Notes if the profile's settings differ from those in the log."""
    here = profile.admission.hash()
    other = {name: count for name, count in log.hashes.items() if name not in ("", here)}
    if not other:
        return ()
    return (
        f"{sum(other.values())} of {len(log.entries)} requests were decided under settings "
        f"{', '.join(other)}; the profile's own, {here}, are replayed in their place",
    )


def _shape_of(entries: Sequence[LogEntry]) -> EngineShape | None:
    """The engine of most requests; None if the log does not name it."""
    counts: dict[EngineShape, int] = {}
    for entry in entries:
        if entry.asked.engine is not None:
            counts[entry.asked.engine] = counts.get(entry.asked.engine, 0) + 1
    return max(counts, key=lambda shape: counts[shape]) if counts else None


def _engines(profile: Profile, kv_tokens: int | None) -> EnginesLike:
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")  # its start-up log is noise here
    # imported here: vLLM takes ten seconds, and faulty arguments should fail before that
    from loadtests.lab.playing.engines import Engines  # noqa: PLC0415

    return Engines(profile, kv_tokens)


def _run(
    name: str, report: Report, engines: EnginesLike, now: Settings, then: Settings
) -> ReplayRun:
    entries, deadlines_s = report.log.entries, (now.ttft_deadline_s, then.ttft_deadline_s)
    parts = parts_of(entries, report.lengths, deadline_s=deadlines_s)
    sys.stderr.write(f"{name}: {len(entries)} requests, engine starts: {len(parts)}\n")
    return ReplayRun(name, replay(parts, engines, then))
