"""`sluice limit`: finds the limit, or judges one number of users; prints, writes files, exits."""

import argparse
import json
import sys
import time
from collections.abc import Mapping
from typing import Any

from admission.terms.slo import parse_slo
from loadtests.asking.ask import Scenario
from loadtests.asking.prompts import Ending, Route
from loadtests.client.api import EndpointDownError
from loadtests.client.self_test import ReaderError
from loadtests.document.markdown import as_markdown
from loadtests.document.terminal import as_text
from loadtests.judging.search import Found, Phase, Probe, Range, Round, Seen, next_step
from loadtests.limit.bench import Bench, bench
from loadtests.limit.junit import junit
from loadtests.limit.prediction import Prediction, predict
from loadtests.limit.result import Result, as_json
from loadtests.limit.rounds import Measured
from loadtests.limit.text import document, sentence
from loadtests.prompts import load_prompts
from loadtests.record import RunRecord
from loadtests.scenarios import find_scenario
from serve.commands.no_answer import no_answer
from serve.exits import Exit

_START = 8  # users of the first round without a plan
_GROWTH, _GROWTH_PLANNED = 2.0, 1.5  # factor on the users until a round misses
_INVALID_MOST = 3  # rounds
_INDENT = 2  # of the JSON


def main(args: argparse.Namespace) -> int:
    """0 = found and confirmed, or met; 1 = not; 2 = bad arguments; 3 = invalid; 4 = down."""
    try:
        result, run = _measure(args)
    except EndpointDownError as problem:
        return _fail(Exit.DOWN, f"endpoint down: {_why(args.host, problem)}")
    except ReaderError as problem:
        return _fail(Exit.INVALID, f"this machine cannot measure: {problem}")
    except ValueError as problem:
        return _fail(Exit.BAD_INPUT, str(problem))
    except OSError as problem:
        return _fail(Exit.BAD_INPUT, f"{problem.filename}: {problem.strerror or problem}")
    except KeyboardInterrupt:
        return _fail(Exit.INVALID, "interrupted: nothing is judged")
    _print(args, result, run.limit)
    _write(args, result, run)
    return result.exit


def _why(url: str, problem: EndpointDownError) -> str:
    """The URL and the fault of the connection, or the error's own message."""
    asked, _, _ = str(problem).partition(": ")
    cause = problem.__cause__
    return f"{asked}: {no_answer(url, cause)}" if cause else str(problem)


def _measure(args: argparse.Namespace) -> tuple[Result, RunRecord]:
    """The result, and everything that was recorded for it."""
    slo, scenario = parse_slo(args.slo), _scenario(args)
    predicted = _predict(args, scenario)
    within, other = _range(args, predicted), _beside(args)
    if args.report:
        args.report.mkdir(parents=True, exist_ok=True)  # fails now, not at the end
    began_s = time.monotonic()
    with bench(args, scenario, slo) as machine:
        rounds, found = (
            _judge(machine, args.concurrency) if args.concurrency else _search(machine, within)
        )
        result = Result(
            url=args.host,
            scenario=scenario.name,
            slo=str(slo),
            facts=machine.facts,
            rounds=rounds,
            found=found,
            asked=args.concurrency,
            prediction=predicted,
            beside=other,
            wall_s=time.monotonic() - began_s,
        )
        machine.recording.limit(as_json(result, sentence(result), machine.recording.about))
    return result, machine.recording.run()


def _scenario(args: argparse.Namespace) -> Scenario:
    if args.prompts is None:
        return find_scenario(args.scenario)
    ending = None if args.ending is None else Ending(args.ending)
    return load_prompts(args.prompts, Route[args.route.upper()], ending)


def _predict(args: argparse.Namespace, scenario: Scenario) -> Prediction | None:
    if args.config is None:
        return None
    return predict(args.config, scenario.fresh(), args.slo, args.seed)


def _beside(args: argparse.Namespace) -> dict[str, Any] | None:
    if args.beside is None:
        return None
    try:
        other = json.loads(args.beside.read_text(encoding="utf-8"))
    except ValueError:
        other = None
    if not isinstance(other, dict) or "sentence" not in other:
        raise ValueError(f"{args.beside}: not what sluice limit --json prints")
    return other


def _range(args: argparse.Namespace, predicted: Prediction | None) -> Range:
    """The search's range; with a plan it starts at three quarters and grows by half.

    Three quarters of the predicted users are probably carried, and near the limit.
    """
    for flag in ("concurrency", "soak_s", "soak_requests"):
        value = getattr(args, flag)
        if value is not None and value <= 0:
            raise ValueError(f"--{flag.replace('_', '-')} {value} is not positive")
    start, growth = _START, _GROWTH
    if predicted is not None:
        start, growth = max(1, predicted.expected * 3 // 4), _GROWTH_PLANNED
    start = min(args.most, args.start or start)
    return Range(start, args.most, growth=growth, invalid_most=_INVALID_MOST)


def _search(machine: Bench, within: Range) -> tuple[list[Measured], Found]:
    measured: list[Measured] = []
    rounds: list[Round] = []
    while isinstance(step := next_step(rounds, within), Probe):
        measured.append(machine.run(step))
        rounds.append((step, measured[-1].seen))
    return measured, step


def _judge(machine: Bench, users: int) -> tuple[list[Measured], None]:
    """One soak, repeated while the client could not keep up."""
    measured: list[Measured] = []
    while len(measured) < _INVALID_MOST:
        measured.append(machine.run(Probe(users, Phase.CONFIRMING)))
        if measured[-1].seen is not Seen.INVALID:
            break
    return measured, None


def _print(args: argparse.Namespace, result: Result, found: Mapping[str, Any]) -> None:
    print(json.dumps(found, indent=_INDENT) if args.json else as_text(document(result)))


def _write(args: argparse.Namespace, result: Result, run: RunRecord) -> None:
    if args.junit:
        args.junit.write_text(junit(result), encoding="utf-8")
    if args.markdown:
        args.markdown.write_text(as_markdown(document(result)), encoding="utf-8")
    if args.report:
        from loadtests.report.files import write_report  # noqa: PLC0415 -- matplotlib: a second

        write_report(run, args.report)


def _fail(code: Exit, why: str) -> int:
    sys.stderr.write(f"sluice limit: {why}\n")
    return code
