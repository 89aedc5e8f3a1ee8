"""`sluice config`, `drain` and `resume` as argparse takes them; imported for every help."""

import argparse
from pathlib import Path

_URL = "http://127.0.0.1:8000"


def add_config(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """`sluice config show|apply|history|rollback`."""
    config = commands.add_parser("config", help="admission settings of a gateway that serves")
    verbs = config.add_subparsers(dest="verb", metavar="VERB")
    show = verbs.add_parser("show", help="the settings in force")
    show.add_argument("--json", action="store_true", help="as JSON, ready to edit and apply")
    apply = verbs.add_parser("apply", help="put the admission section of a file into force")
    apply.add_argument("file", type=Path, metavar="FILE", help="profile")
    apply.add_argument(
        "--admission", action="store_true", help="FILE holds an admission section alone"
    )
    apply.add_argument("--yes", action="store_true", help="do not ask")
    history = verbs.add_parser("history", help="the last settings: when, by whom, what changed")
    rollback = verbs.add_parser("rollback", help="put earlier settings into force again")
    rollback.add_argument("--to", metavar="HASH", help="of the history; default: those before")
    for verb in (show, apply, history, rollback):
        verb.set_defaults(module="serve.commands.operate.config")
        _add_endpoint(verb)


def add_drain(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """`sluice drain` and `sluice resume`."""
    for name, what in (("drain", "admit nothing more"), ("resume", "undo a drain")):
        command = commands.add_parser(name, help=f"{what}; the gateway goes on running")
        command.set_defaults(module="serve.commands.operate.drain", verb=name)
        command.add_argument("--replica", metavar="NAME", help="this one alone; default: all")
        _add_endpoint(command)


def _add_endpoint(command: argparse.ArgumentParser) -> None:
    command.add_argument("--url", default=_URL, help=f"of the gateway; default: {_URL}")
    command.add_argument(
        "--api-key", metavar="KEY", help="an administrator's; default: $SLUICE_API_KEY"
    )
