"""The `sluice` command. A subcommand's module is imported only when it runs: help is instant."""

import argparse
import importlib
import sys
from importlib import metadata

from serve.commands.command_line import Parser, guarded, unknown_command, versions
from serve.exits import Exit

_REGISTERED = "sluice.commands"  # in pyproject.toml: functions that add a subcommand
_LOADTESTS = ("gevent", "geventhttpclient", "locust")  # an optional extra


def main(arguments: list[str] | None = None) -> int:
    """Runs one subcommand; without one it shows the help.

    Exit codes: docs/reference/commands.md.
    """
    given = sys.argv[1:] if arguments is None else arguments
    parser = command_parser()
    if given and not given[0].startswith("-") and given[0] not in (known := _commands(parser)):
        sys.stderr.write(unknown_command(given[0], known))
        return Exit.BAD_INPUT
    args, unknown = parser.parse_known_args(given)
    if unknown:  # reported by the subcommand's parser, whose help lists the flags
        args.of.error(f"unknown argument {' '.join(unknown)}")
    if "module" not in args:
        args.of.print_help()
        return Exit.GOOD
    return guarded(given[0], lambda: _run(args))


def _commands(parser: argparse.ArgumentParser) -> list[str]:
    """Names of the subcommands."""
    group = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction))  # noqa: SLF001 -- argparse has no other way to ask
    return list(group.choices)


def _run(args: argparse.Namespace) -> int:
    try:
        command = importlib.import_module(args.module)
    except ModuleNotFoundError as missing:
        if missing.name not in _LOADTESTS:
            raise
        sys.stderr.write(
            f"sluice: {missing.name} is not installed, which load tests need:"
            " pip install 'sluice[loadtests]'\n"
        )
        return Exit.BAD_INPUT
    return int(command.main(args))


def command_parser() -> argparse.ArgumentParser:
    """The parser of `sluice` with those of all its commands."""
    parser: argparse.ArgumentParser = Parser(
        prog="sluice",
        description="Inference gateway that admits each request by what it will hold in KV cache.",
    )
    parser.add_argument("-V", "--version", action=_Version, nargs=0, help="versions, and exit")
    commands = parser.add_subparsers(metavar="COMMAND")
    for entry in metadata.distribution("sluice").entry_points.select(group=_REGISTERED):
        entry.load()(commands)
    return parser


class _Version(argparse.Action):
    """Looks the versions up only when they are asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        """Prints the versions and exits."""
        sys.stdout.write(f"{versions()}\n")
        parser.exit()


if __name__ == "__main__":
    raise SystemExit(main())
