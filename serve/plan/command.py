"""`sluice plan`: what fits, how many requests it carries, what binds. Needs no engine."""

import argparse
import json
import sys

from serve.plan.answer import answer
from serve.plan.findings import find
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
    sys.stdout.write(shown + "\n")
    if not found.plan.misfit:
        return _FITS
    told = words("misfit_line", misfit=found.plan.misfit, nearest=found.nearest)
    sys.stderr.write(f"{told}\n")
    return _MISFIT
