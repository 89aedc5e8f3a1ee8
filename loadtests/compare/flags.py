"""The flags of `sluice compare`. Imports nothing heavy."""

import argparse
from pathlib import Path


def add_compare(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the subcommand."""
    compare = commands.add_parser(
        "compare", help="say whether two runs had the same load, separate, and what was changed"
    )
    compare.set_defaults(module="loadtests.compare.command")
    compare.add_argument(
        "files",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="two or more: .jsonl of runs, or .json and .jsonl of limits; all are held against"
        " the first",
    )
    compare.add_argument("--json", action="store_true", help="everything, with stable keys")
