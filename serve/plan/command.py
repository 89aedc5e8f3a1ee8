"""`sluice plan`: what fits, how many requests it carries, what binds. Needs no engine."""

import argparse
import json
import sys

from loadtests.report.words import Language
from serve.plan.answer import answer
from serve.plan.findings import Findings, find
from serve.plan.from_profile import FromProfile, read_profile
from serve.plan.question import ASSUMED_GPU, question
from serve.plan.text import text
from serve.plan.words import Words

_FITS, _MISFIT, _BAD_ARGUMENTS = 0, 1, 2


def main(args: argparse.Namespace) -> int:
    """Prints the plan; 0 = fits, 1 = does not fit, 2 = bad arguments or a file that fails."""
    words = Words(Language(args.lang))
    try:
        _refuse_to_replace(args)
        profile = read_profile(args.config)
        found = find(question(args, profile), profile)
        shown = json.dumps(answer(found), indent=2) if args.json else text(found, words)
        _write_files(args, found, profile, words)
    except ValueError as problem:
        return _bad(str(problem))
    except OSError as problem:
        return _bad(f"{problem.filename}: {problem.strerror}")
    if not args.gpu and not profile.gpu:
        sys.stderr.write(f"sluice plan: no --gpu given; {ASSUMED_GPU.upper()} taken\n")
    sys.stdout.write(shown + "\n")
    if not found.plan.misfit:
        return _FITS
    told = words("misfit_line", misfit=found.plan.misfit, nearest=found.nearest)
    sys.stderr.write(f"{told}\n")
    return _MISFIT


def _bad(problem: str) -> int:
    sys.stderr.write(f"sluice plan: {problem}\n")
    return _BAD_ARGUMENTS


def _refuse_to_replace(args: argparse.Namespace) -> None:
    """Before anything is worked out: somebody's profile is not overwritten."""
    if args.write and args.write.exists() and not args.force:
        raise ValueError(f"{args.write} exists; give another name, or --force to replace it")


def _write_files(
    args: argparse.Namespace, found: Findings, profile: FromProfile, words: Words
) -> None:
    """The files that were asked for; what draws and what checks profiles is imported only then."""
    model = str(args.model or profile.model)
    if args.html or args.svg:
        from serve.plan.page import plan_page, write_charts  # noqa: PLC0415 -- a second

        if args.html:
            args.html.write_text(plan_page(found, model, words.language), encoding="utf-8")
        if args.svg:
            write_charts(found, words, args.svg)
    if args.write:
        from serve.plan.recommended_profile import write_profile  # noqa: PLC0415 -- pydantic

        sys.stderr.write(write_profile(args.write, found, model, profile))
