"""`sluice plan`: what fits, how many requests it carries, what binds. Needs no engine."""

import argparse
import json
import sys

from serve.plan.answer import answer
from serve.plan.findings import Findings, find
from serve.plan.from_profile import read_profile
from serve.plan.question import ASSUMED_GPU, question
from serve.plan.text import text
from serve.plan.words import Language, Words

_FITS, _MISFIT, _BAD_ARGUMENTS = 0, 1, 2


def main(args: argparse.Namespace) -> int:
    """Prints the plan; 0 = fits, 1 = does not fit, 2 = bad arguments."""
    words = Words(Language(args.lang))
    try:
        profile = read_profile(args.config)
        found = find(question(args, profile), profile)
    except (ValueError, OSError) as problem:
        sys.stderr.write(f"sluice plan: {problem}\n")
        return _BAD_ARGUMENTS
    if not args.gpu and not profile.gpu:
        sys.stderr.write(f"sluice plan: no --gpu given; {ASSUMED_GPU.upper()} taken\n")
    shown = json.dumps(answer(found), indent=2) if args.json else text(found, words)
    try:
        _draw(args, found, words, str(args.model or profile.model))
    except OSError as problem:
        sys.stderr.write(f"sluice plan: {problem.filename}: {problem.strerror}\n")
        return _BAD_ARGUMENTS
    sys.stdout.write(shown + "\n")
    if not found.plan.misfit:
        return _FITS
    told = words("misfit_line", misfit=found.plan.misfit, nearest=found.nearest)
    sys.stderr.write(f"{told}\n")
    return _MISFIT


def _draw(args: argparse.Namespace, found: Findings, words: Words, model: str) -> None:
    """The page and the charts that were asked for; only then is anything imported that draws."""
    if not (args.html or args.svg):
        return
    from serve.plan.page import plan_page, write_charts  # noqa: PLC0415 -- half a second

    if args.html:
        args.html.write_text(plan_page(found, model, words.language), encoding="utf-8")
    if args.svg:
        write_charts(found, words, args.svg)
