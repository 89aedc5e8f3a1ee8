"""`sluice plan`: what fits, how many requests it carries, which limit binds. Needs no engine."""

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterable

from admission.planning.gpus import known_gpus
from loadtests.document.terminal import as_text
from loadtests.document.words import Language
from loadtests.plan.findings import Findings, find
from loadtests.plan.from_profile import FromProfile, read_profile
from loadtests.plan.question import ASSUMED_GPU, left_open, question
from loadtests.plan.shown.answer import answer
from loadtests.plan.shown.document import brief, document
from loadtests.plan.shown.lead import misfit
from loadtests.plan.shown.words import PlanWords
from loadtests.scenarios import SCENARIOS
from serve.exits import Exit
from serve.models.catalogue import known_models

_KNOWN: dict[str, Callable[[], Iterable[str]]] = {
    "gpus": known_gpus,
    "models": known_models,
    "workloads": lambda: SCENARIOS,
}


def main(args: argparse.Namespace) -> int:
    """Prints the plan; 0 = fits, 1 = does not fit, 2 = bad arguments or an unusable file."""
    words = PlanWords(Language(args.lang))
    if args.list:
        sys.stdout.write("".join(f"{name}\n" for name in _KNOWN[args.list]()))
        return Exit.GOOD
    try:
        _refuse_to_replace(args)
        profile = read_profile(args.config)
        asked = question(args, profile)
        found = find(asked, profile, left_open(args, asked), think_s=_think_s(args))
        _write_files(args, found, profile, words)
    except ValueError as problem:
        return _bad(str(problem))
    except OSError as problem:
        return _bad(f"{problem.filename}: {problem.strerror or problem}")
    if not args.gpu and not profile.gpu:
        sys.stderr.write(f"sluice plan: no --gpu given; {ASSUMED_GPU.upper()} taken\n")
    _show(args, found, words)
    return Exit.NO if found.plan.misfit else Exit.GOOD


def _show(args: argparse.Namespace, found: Findings, words: PlanWords) -> None:
    """Prints the plan; if the question's deployment does not fit, stderr says why."""
    if verdict := misfit(found, words):
        sys.stderr.write(f"{verdict}\n")
    if args.json:
        shown = json.dumps(answer(found), indent=2)
    else:
        shown = as_text((document if args.verbose else brief)(found, words))
    if shown:
        sys.stdout.write(f"{shown}\n")


def _think_s(args: argparse.Namespace) -> float:
    seconds: float = args.think
    if not 0 <= seconds < math.inf:
        raise ValueError(f"--think {seconds:g}: give seconds, 0 or more")
    return seconds


def _bad(problem: str) -> int:
    sys.stderr.write(f"sluice plan: {problem}\n")
    return Exit.BAD_INPUT


def _refuse_to_replace(args: argparse.Namespace) -> None:
    """Raises before the plan is computed if `--write` would overwrite a file."""
    if args.write and args.write.exists() and not args.force:
        raise ValueError(f"{args.write} exists; give another name, or --force to replace it")


def _write_files(
    args: argparse.Namespace, found: Findings, profile: FromProfile, words: PlanWords
) -> None:
    """Writes the requested files; drawing and profile checks are imported only for these."""
    model = str(args.model or profile.model)
    if args.html or args.svg:
        from loadtests.plan.shown.page import plan_page, write_charts  # noqa: PLC0415 -- a second

        if args.html:
            args.html.write_text(plan_page(found, model, words.language), encoding="utf-8")
        if args.svg:
            write_charts(found, words, args.svg)
    if args.write:
        from loadtests.plan.recommended_profile import write_profile  # noqa: PLC0415 -- pydantic

        sys.stderr.write(write_profile(args.write, found, model, profile))
