"""`sluice drain` and `sluice resume`: take a running gateway out of service and back."""

import argparse
import sys
from urllib.parse import urlencode

from serve.commands.operate.endpoint import Endpoint, by_replica, missing, run
from serve.exits import Exit


def main(args: argparse.Namespace) -> int:
    """Exit codes: 0 done, 1 refused, 2 bad arguments, 4 no answer, or not of all replicas."""
    return run(args.verb, args, _ask)


def _ask(endpoint: Endpoint, args: argparse.Namespace) -> int:
    one = f"?{urlencode({'replica': args.replica})}" if args.replica else ""
    told = endpoint.ask("POST", f"/v1/admission/{args.verb}{one}").document
    words = "admits nothing more" if args.verb == "drain" else "admits requests"
    for replica in by_replica(told):
        sys.stdout.write(f"{endpoint.url}: replica {replica} {words}\n")
    absent = missing(told)
    if absent:
        sys.stderr.write(f"sluice {args.verb}: {absent}\n")
    return Exit.DOWN if absent else Exit.GOOD
