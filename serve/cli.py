"""The `sluice` command. A subcommand's module is imported only when it runs: help is instant."""

import argparse
import importlib
import sys
from pathlib import Path

from loadtests.compare.flags import add_compare
from loadtests.limit.flags import add_limit
from serve import shipped
from serve.command_line import BAD_ARGUMENTS, Parser, guarded, unknown_command, versions
from serve.lab.flags import add_lab
from serve.operate.flags import add_config, add_drain
from serve.plan.flags import add_plan

_DEFAULT_PROFILE = shipped.configs() / "smollm2-cpu.yaml"
_LOADTESTS = ("gevent", "geventhttpclient", "locust")  # an extra that a gateway does without
_PORTS = range(1, 65_536)


def main(arguments: list[str] | None = None) -> int:
    """Runs one subcommand; without one it shows the help. Exit codes: docs/commands.md."""
    given = sys.argv[1:] if arguments is None else arguments
    parser = _parser()
    if given and not given[0].startswith("-") and given[0] not in (known := _commands(parser)):
        sys.stderr.write(unknown_command(given[0], known))
        return BAD_ARGUMENTS
    args, unknown = parser.parse_known_args(given)
    if unknown:  # said by the subcommand's own parser, whose help lists what there is
        args.of.error(f"unknown argument {' '.join(unknown)}")
    if "module" not in args:
        args.of.print_help()
        return 0
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
        return BAD_ARGUMENTS
    return int(command.main(args))


def _parser() -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = Parser(
        prog="sluice",
        description="Inference gateway that admits each request by what it will hold in KV cache.",
    )
    parser.add_argument("-V", "--version", action=_Version, nargs=0, help="versions, and exit")
    commands = parser.add_subparsers(metavar="COMMAND")
    _add_serve(commands)
    _add_check_config(commands)
    add_config(commands)
    add_drain(commands)
    add_plan(commands)
    _add_calibrate(commands)
    add_limit(commands)
    add_compare(commands)
    add_lab(commands)
    return parser


class _Version(argparse.Action):
    """Looks the versions up only when they are asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        """Prints them and exits."""
        sys.stdout.write(f"{versions()}\n")
        parser.exit()


def _add_serve(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    serve = commands.add_parser("serve", help="start the gateway; Ctrl-C stops it")
    serve.set_defaults(module="serve.process.start")
    serve.add_argument(
        "--config",
        type=Path,
        default=_DEFAULT_PROFILE,
        metavar="FILE",
        help="profile; without it a small model on the CPU",
    )
    serve.add_argument("--host", help="address to listen on, in place of the profile's http.host")
    serve.add_argument("--port", type=_port, help="port, in place of the profile's http.port")


def _add_check_config(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    check = commands.add_parser(
        "check-config", help="say whether a profile is good, and what it comes to"
    )
    check.set_defaults(module="serve.check")
    check.add_argument("file", type=Path, metavar="FILE", help="profile")
    check.add_argument(
        "--admission", action="store_true", help="FILE holds an admission section alone"
    )
    check.add_argument(
        "--user-config",
        action="store_true",
        help="print only the admission section, as JSON for Serve's user_config",
    )


def _add_calibrate(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    calibrate = commands.add_parser(
        "calibrate", help="measure how long an engine's steps take, as a profile section"
    )
    calibrate.set_defaults(module="serve.calibrate.command")
    which = calibrate.add_mutually_exclusive_group(required=True)
    which.add_argument("--config", type=Path, metavar="FILE", help="profile; its engine is started")
    which.add_argument("--url", help="a running gateway; it must have nothing else to do")
    calibrate.add_argument("--api-key", help="an administrator's key, with --url")
    calibrate.add_argument(
        "--seconds", type=float, default=120.0, help="most to measure for; default: 120"
    )
    calibrate.add_argument(
        "--write", action="store_true", help="put the section into the profile (--config)"
    )
    calibrate.add_argument("--json", action="store_true", help="the fit with stable keys")


def _port(text: str) -> int:
    if text.isdecimal() and int(text) in _PORTS:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no port; give a number from 1 to 65535")


if __name__ == "__main__":
    raise SystemExit(main())
