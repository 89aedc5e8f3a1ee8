"""`sluice plan`: what fits, how many requests it carries, what binds. Needs no engine."""

import argparse
import json
import sys

from admission.layouts import nearest_fit
from admission.plan import make_plan
from serve.plan.answer import answer
from serve.plan.from_profile import read_profile
from serve.plan.question import question
from serve.plan.text import text

_FITS, _MISFIT, _BAD_ARGUMENTS = 0, 1, 2


def main(args: argparse.Namespace) -> int:
    """Prints the plan; 0 = fits, 1 = does not fit, 2 = bad arguments."""
    try:
        profile = read_profile(args.config)
        plan = make_plan(question(args, profile))
        nearest = nearest_fit(plan.question) if plan.misfit else None
        shown = json.dumps(answer(plan, nearest), indent=2) if args.json else text(plan)
    except ValueError as problem:
        sys.stderr.write(f"sluice plan: {problem}\n")
        return _BAD_ARGUMENTS
    if not args.gpu and not profile.gpu:
        sys.stderr.write("sluice plan: no --gpu given; A10 taken\n")
    sys.stdout.write(shown + "\n")
    if not plan.misfit:
        return _FITS
    sys.stderr.write(f"does not fit: {plan.misfit}; nearest that fits: {nearest}\n")
    return _MISFIT
