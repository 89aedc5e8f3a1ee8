"""The `sluice` command. A subcommand's module is imported only when it runs: help is instant."""

import argparse
import importlib
import sys
from pathlib import Path

from loadtests.compare.flags import add_compare
from loadtests.limit.flags import add_limit
from serve import shipped
from serve.lab.flags import add_lab
from serve.operate.flags import add_config, add_drain
from serve.plan.flags import add_plan

_DEFAULT_PROFILE = shipped.configs() / "smollm2-cpu.yaml"
_LOADTESTS = ("gevent", "geventhttpclient", "locust")  # an extra that a gateway does without
_BAD_ARGUMENTS = 2
_PORTS = range(1, 65_536)


def main(arguments: list[str] | None = None) -> int:
    """Runs one subcommand; exit codes are CONTRACTS': 0 good, 1 no, 2 bad arguments, 4 down."""
    args = _parser().parse_args(arguments)
    try:
        command = importlib.import_module(args.module)
    except ModuleNotFoundError as missing:
        if missing.name not in _LOADTESTS:
            raise
        sys.stderr.write(
            f"sluice: {missing.name} is not installed, which load tests need:"
            " pip install 'sluice[loadtests]'\n"
        )
        return _BAD_ARGUMENTS
    return int(command.main(args))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sluice",
        description="Inference gateway that admits each request by what it will hold in KV cache.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
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
