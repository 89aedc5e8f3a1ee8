"""The flags of `sluice serve`, `check-config` and `calibrate`."""

import argparse
from pathlib import Path

from serve import shipped

_DEFAULT_PROFILE = shipped.configs() / "smollm2-cpu.yaml"
_PORTS = range(1, 65_536)


def add_serve(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """`sluice serve`."""
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


def add_check_config(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """`sluice check-config`."""
    check = commands.add_parser(
        "check-config", help="say whether a profile is good, and what it comes to"
    )
    check.set_defaults(module="serve.commands.check")
    check.add_argument("file", type=Path, metavar="FILE", help="profile")
    check.add_argument(
        "--admission", action="store_true", help="FILE holds an admission section alone"
    )
    check.add_argument(
        "--user-config",
        action="store_true",
        help="print only the admission section, as JSON for Serve's user_config",
    )


def add_calibrate(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """`sluice calibrate`."""
    calibrate = commands.add_parser(
        "calibrate", help="measure how long an engine's steps take, as a profile section"
    )
    calibrate.set_defaults(module="serve.commands.calibrate.command")
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
