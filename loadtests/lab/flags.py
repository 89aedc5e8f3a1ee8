"""The flags of `sluice lab`. Imports nothing heavy."""

import argparse
import math
from pathlib import Path

WARM_UP = 200  # requests: until the classes of a trace are known
DEFAULT_POLICIES = "footprint,off,static,worst_case,queued_tokens,kv_threshold,aimd,gradient2,ema"


def add_lab(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the subcommand."""
    lab = commands.add_parser(
        "lab", help="play a trace through admission policies and vLLM's scheduler, in virtual time"
    )
    lab.set_defaults(module="loadtests.lab.command")
    played = lab.add_mutually_exclusive_group(required=True)
    played.add_argument(
        "--trace", type=Path, nargs="+", metavar="FILE", help="CSV, plain or .gz; needs --config"
    )
    played.add_argument(
        "--log",
        type=Path,
        metavar="FILE",
        help="a decision log in place of a trace; with --config it is played again, with "
        "--admission also under those settings",
    )
    played.add_argument(
        "--grid", type=Path, metavar="FILE", help="cells from a file, in place of --trace, --config"
    )
    lab.add_argument(
        "--config", type=Path, metavar="FILE", help="profile; simulated, or --log and step_time"
    )
    lab.add_argument(
        "--out", type=Path, metavar="FOLDER", help="of a grid: finished cells are not played again"
    )
    lab.add_argument("--only", nargs="+", metavar="CELL", help="of a grid: these cells alone")
    lab.add_argument(
        "--admission", type=Path, metavar="FILE", help="admission section, for the profile's own"
    )
    lab.add_argument(
        "--kv-tokens", type=_count, nargs="+", metavar="N", help="KV cache, for the planned one"
    )
    rate = lab.add_mutually_exclusive_group()
    rate.add_argument(
        "--rate-scale",
        type=_positive,
        nargs="+",
        default=[1.0],
        metavar="X",
        help="times the trace's own rate; default: 1",
    )
    rate.add_argument(
        "--load",
        type=_positive,
        nargs="+",
        metavar="X",
        help="times the highest rate at which the oracle serves 99 %%, which is found first",
    )
    lab.add_argument("--skip", type=_natural, default=0, metavar="N", help="rows left out first")
    lab.add_argument(
        "--warm-up",
        type=_natural,
        metavar="N",
        help=f"requests not counted; default: {WARM_UP}, of a log 0",
    )
    lab.add_argument(
        "--limit-requests", type=_count, metavar="N", help="requests counted; default: all"
    )
    lab.add_argument(
        "--max-tokens", type=_count, default=2048, metavar="N", help="requests' own limit, if none"
    )
    lab.add_argument("--ttft", type=_positive, default=5.0, metavar="S", help="seconds; default: 5")
    lab.add_argument(
        "--tpot", type=_positive, default=0.2, metavar="S", help="seconds; default: 0.2"
    )
    lab.add_argument(
        "--policies",
        default=DEFAULT_POLICIES,
        metavar="A,B",
        help=f"default: {DEFAULT_POLICIES}",
    )
    lab.add_argument(
        "--static-n", type=_count, default=48, metavar="N", help="of policy static_one; default: 48"
    )
    lab.add_argument(
        "--jobs", type=_count, default=1, metavar="N", help="processes at once; default: 1"
    )
    lab.add_argument(
        "--seed", type=_natural, default=1, metavar="N", help="of the resampling; default: 1"
    )
    lab.add_argument(
        "--records", type=Path, metavar="FILE", help="also every request, a JSON object a line"
    )
    lab.add_argument("--html", type=Path, metavar="FILE", help="also a page with charts")
    lab.add_argument("--json", action="store_true", help="everything, with stable keys")
    lab.set_defaults(default_of=lab.get_default)


def _count(text: str) -> int:
    return _whole(text, least=1)


def _natural(text: str) -> int:
    return _whole(text, least=0)


def _whole(text: str, *, least: int) -> int:
    if text.isdecimal() and int(text) >= least:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {least}")


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if 0 < value < math.inf:
        return value
    raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
