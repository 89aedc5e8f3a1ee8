"""The flags of `sluice lab`. Imports nothing heavy."""

import argparse
import math
from pathlib import Path
from typing import NoReturn, TypeAlias

WARM_UP = 200  # requests: enough to learn the classes of a trace
DEFAULT_POLICIES = "footprint,off,static,worst_case,queued_tokens,kv_threshold,aimd,gradient2,ema"
_Group: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001 - argparse names it nowhere else
_COMMAND_OF_FLAG = {"--trace": "play", "--grid": "grid", "--log": "replay"}


def add_lab(commands: _Group) -> None:
    """Adds the subcommand with `play`, `grid`, `replay` and `fleet`."""
    about = "admission policies and vLLM's scheduler in virtual time"
    lab = commands.add_parser("lab", help=about, description=about)
    for flag in _COMMAND_OF_FLAG:
        lab.add_argument(flag, action=_BecameCommand, nargs="*", help=argparse.SUPPRESS)
    verbs = lab.add_subparsers(metavar="COMMAND")
    _add_play(verbs)
    _add_grid(verbs)
    _add_replay(verbs)
    _add_fleet(verbs)


class _BecameCommand(argparse.Action):
    """Fails with the name of the command that replaces a flag of older versions."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        """Prints the error and exits with code 2."""
        flag = self.option_strings[0]
        parser.error(f"{flag} is a command: {parser.prog} {_COMMAND_OF_FLAG[flag]} FILE")


def _add_play(verbs: _Group) -> None:
    about = "plays traces under several policies and compares them"
    play = verbs.add_parser("play", help=about, description=about)
    play.set_defaults(module="loadtests.lab.comparing.command")
    play.add_argument("trace", type=Path, nargs="+", metavar="TRACE", help="CSV, plain or .gz")
    play.add_argument(
        "--config", type=Path, required=True, metavar="FILE", help="profile; simulated"
    )
    play.add_argument(
        "--admission", type=Path, metavar="FILE", help="admission section, for the profile's own"
    )
    play.add_argument(
        "--kv-tokens", type=_count, nargs="+", metavar="N", help="KV cache, for the planned one"
    )
    rate = play.add_mutually_exclusive_group()
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
    _add_part(play, warm_up=WARM_UP)
    play.add_argument(
        "--max-tokens", type=_count, default=2048, metavar="N", help="requests' own limit, if none"
    )
    play.add_argument(
        "--ttft", type=_positive, default=5.0, metavar="S", help="seconds; default: 5"
    )
    play.add_argument(
        "--tpot", type=_positive, default=0.2, metavar="S", help="seconds; default: 0.2"
    )
    play.add_argument(
        "--policies",
        default=DEFAULT_POLICIES,
        metavar="A,B",
        help=f"default: {DEFAULT_POLICIES}",
    )
    play.add_argument(
        "--static-n", type=_count, default=48, metavar="N", help="of policy static_one; default: 48"
    )
    _add_runs(play)
    play.add_argument(
        "--records", type=Path, metavar="FILE", help="also every request, a JSON object a line"
    )
    play.add_argument("--html", type=Path, metavar="FILE", help="also a page with charts")
    _add_json(play)


def _add_grid(verbs: _Group) -> None:
    about = "plays a grid of cells from a file into a folder; finished cells are not played again"
    grid = verbs.add_parser("grid", help=about, description=about)
    grid.set_defaults(module="loadtests.lab.grid.command")
    grid.add_argument("grid", type=Path, metavar="FILE", help="the cells, in YAML")
    grid.add_argument(
        "--out", type=Path, required=True, metavar="FOLDER", help="of cells, table and page"
    )
    grid.add_argument("--only", nargs="+", metavar="CELL", help="these cells alone")
    _add_runs(grid)


def _add_replay(verbs: _Group) -> None:
    about = "reads a decision log; with --config it is played again"
    replay = verbs.add_parser("replay", help=about, description=about)
    replay.set_defaults(module="loadtests.lab.replay.command")
    replay.add_argument("log", type=Path, metavar="LOG", help="a decision log")
    replay.add_argument(
        "--config", type=Path, metavar="FILE", help="profile; simulated, or with step_time"
    )
    replay.add_argument(
        "--admission",
        type=Path,
        metavar="FILE",
        help="admission section: the log is also played under it; needs --config",
    )
    replay.add_argument(
        "--kv-tokens", type=_count, metavar="N", help="KV cache, for the planned one"
    )
    _add_part(replay, warm_up=0)
    _add_seed(replay)
    _add_json(replay)


def _add_fleet(verbs: _Group) -> None:
    about = "plays a grid of fleets: several engines behind routers"
    fleet = verbs.add_parser("fleet", help=about, description=about)
    fleet.set_defaults(module="loadtests.lab.fleet.command")
    fleet.add_argument("grid", type=Path, metavar="FILE", help="the cells, in YAML")
    fleet.add_argument(
        "--out", type=Path, required=True, metavar="FOLDER", help="of finished runs and tables"
    )
    _add_jobs(fleet)


def _add_part(parser: argparse.ArgumentParser, *, warm_up: int) -> None:
    parser.add_argument("--skip", type=_natural, default=0, metavar="N", help="rows left out first")
    parser.add_argument(
        "--warm-up",
        type=_natural,
        default=warm_up,
        metavar="N",
        help=f"requests not counted; default: {warm_up}",
    )
    parser.add_argument(
        "--limit-requests", type=_count, metavar="N", help="requests counted; default: all"
    )


def _add_runs(parser: argparse.ArgumentParser) -> None:
    _add_jobs(parser)
    _add_seed(parser)


def _add_jobs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--jobs", type=_count, default=1, metavar="N", help="processes at once; default: 1"
    )


def _add_seed(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--seed", type=_natural, default=1, metavar="N", help="of the resampling; default: 1"
    )


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="everything, with stable keys")


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
