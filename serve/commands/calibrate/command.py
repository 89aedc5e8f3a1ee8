"""`sluice calibrate`: how long an engine's steps take, measured."""

import argparse
import json
import sys

from admission.speed.step_fit import StepFit, fit
from serve.commands.calibrate.sources import (
    BusyError,
    DownError,
    Measured,
    measure_engine,
    measure_gateway,
)
from serve.commands.calibrate.text import answer, report, section
from serve.exits import Exit
from serve.profile.settings import ProfileError, load_profile
from serve.profile.yaml_file import with_section


def main(args: argparse.Namespace) -> int:
    """Measures, prints, writes; returns the exit code."""
    try:
        measured = _measure(args)
    except (ProfileError, ValueError) as problem:
        return _failed(Exit.BAD_INPUT, problem)
    except BusyError as problem:
        return _failed(Exit.INVALID, problem)
    except (DownError, RuntimeError) as problem:  # vLLM has printed the cause above
        return _failed(Exit.DOWN, problem)
    found = fit(measured.steps)
    if not found.enough:
        return _failed(
            Exit.INVALID, f"only {found.records} steps were measured: give more --seconds"
        )
    _show(args, measured, found)
    if args.write:
        profile = with_section(
            args.config.read_text("utf-8"), "step_time", section(found.coefficients)
        )
        args.config.write_text(profile, "utf-8")
        sys.stderr.write(f"written into {args.config}\n")
    return Exit.GOOD


def _measure(args: argparse.Namespace) -> Measured:
    if args.seconds <= 0:
        raise ValueError(f"--seconds {args.seconds:g} is not positive")
    if args.config is None:
        if args.write:
            raise ValueError("--write needs --config: a URL has no profile to write into")
        return measure_gateway(args.url, args.api_key, seconds=args.seconds, say=_say)
    return measure_engine(load_profile(args.config), seconds=args.seconds, say=_say)


def _show(args: argparse.Namespace, measured: Measured, found: StepFit) -> None:
    if args.json:
        sys.stdout.write(json.dumps(answer(measured, found), indent=2) + "\n")
    else:
        sys.stdout.write(f"{report(measured, found)}\n{section(found.coefficients)}")


def _failed(code: int, problem: object) -> int:
    sys.stderr.write(f"sluice calibrate: {problem}\n")
    return code


def _say(what: str) -> None:
    sys.stderr.write(f"  {what}\n")
