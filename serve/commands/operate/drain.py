"""`sluice drain` and `sluice resume`: take a running gateway out of service and back."""

import argparse
import sys

from serve.commands.operate.endpoint import Endpoint, run
from serve.exits import Exit


def main(args: argparse.Namespace) -> int:
    """Exit codes: 0 done, 1 refused, 2 bad arguments, 4 the gateway does not answer."""
    return run(args.verb, args, _ask)


def _ask(endpoint: Endpoint, args: argparse.Namespace) -> int:
    told = endpoint.ask("POST", f"/v1/admission/{args.verb}").document
    words = "admits nothing more" if args.verb == "drain" else "admits requests"
    sys.stdout.write(f"{endpoint.url}: replica {told['replica']} {words}\n")
    return Exit.GOOD
