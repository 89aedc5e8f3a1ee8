"""`sluice config`: shows and changes the admission settings of a running gateway."""

import argparse
import json
import sys
import textwrap
from collections.abc import Iterable, Iterator
from typing import Any

from serve.commands.check import admission_summary
from serve.commands.operate.endpoint import (
    AnswerError,
    Document,
    Endpoint,
    GatewayAnswer,
    by_replica,
    missing,
    run,
)
from serve.exits import Exit
from serve.profile.difference import Change, changes
from serve.profile.settings import (
    load_admission,
    load_profile,
    parse_admission,
)

_SETTINGS = "/v1/admission/settings"
_WIDTH = 80


def main(args: argparse.Namespace) -> int:
    """Exit codes: 0 done, 1 refused or changed meanwhile, 2 bad arguments or file, 4 no answer."""
    verbs = {"show": _show, "apply": _apply, "history": _history, "rollback": _rollback}
    return run("config", args, verbs[args.verb])


def _show(endpoint: Endpoint, args: argparse.Namespace) -> int:
    settings = _present(endpoint).document
    if args.json:
        _say(json.dumps(settings, indent=2))
        return Exit.GOOD
    state = endpoint.ask("GET", "/v1/admission/state").document
    replicas = by_replica(state)
    named = "replica" if len(replicas) == 1 else f"{len(replicas)} replicas,"
    _say(_wrapped(f"{endpoint.url}: {named} {', '.join(replicas)}"))
    absent = missing(state)
    if absent:
        _say(_wrapped(absent))
    config = next(iter(replicas.values()))["config"]
    _say(_row("in force", f"since {config['applied_at']}, {_origin(config)}"))
    if config["refused"] is not None:
        _say(_row("refused", config["refused"]["why"]))
    before = config["before_start"]
    if before is not None:
        _say(_row("before", f"this start {before['hash']} held ({_origin(before)})"))
    _say(*admission_summary(parse_admission(settings, source=endpoint.url)))
    return Exit.GOOD


def _apply(endpoint: Endpoint, args: argparse.Namespace) -> int:
    section = load_admission(args.file) if args.admission else load_profile(args.file).admission
    present = _present(endpoint)
    differing = changes(present.document, section.mapping())
    if not differing:
        _say(f"nothing differs: {section.hash()} is in force at {endpoint.url}")
        return Exit.GOOD
    _say(f"{endpoint.url}: {_hash_of(present)} -> {section.hash()}", *_shown(differing))
    if not args.yes and sys.stdin.isatty() and not _confirmed():
        _say("not applied")
        return Exit.NO
    told = endpoint.ask("PUT", _SETTINGS, section.mapping(), if_match=present.etag).document
    _say(*_applied(told))
    return Exit.GOOD


def _history(endpoint: Endpoint, _: argparse.Namespace) -> int:
    histories = by_replica(endpoint.ask("GET", f"{_SETTINGS}/history").document)
    told = next(iter(histories.values()))
    _say(_wrapped(f"{endpoint.url}: replica {told['replica']}, in force {told['hash']}"))
    for entry in told["history"]:
        _say(_wrapped(f"{entry['hash']}  {entry['applied_at']}  {_origin(entry)}"))
        _say(*_shown(entry["changed"]))
    return Exit.GOOD


def _rollback(endpoint: Endpoint, args: argparse.Namespace) -> int:
    present = _present(endpoint)
    told = endpoint.ask(
        "POST",
        f"{_SETTINGS}/rollback",
        {} if args.to is None else {"to": args.to},
        if_match=present.etag,
    ).document
    _say(f"{endpoint.url}: {told['previous']} -> {told['hash']}", *_shown(told["changed"]))
    _say(*_applied(told))
    return Exit.GOOD


def _present(endpoint: Endpoint) -> GatewayAnswer:
    """The section in force and its hash."""
    answer = endpoint.ask("GET", _SETTINGS)
    if not answer.etag or not isinstance(answer.document, dict):
        raise AnswerError(f"{endpoint.url} is no Sluice gateway", Exit.DOWN)
    return answer


def _confirmed() -> bool:
    sys.stdout.write("Apply? [y/N] ")
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _applied(told: Document) -> Iterator[str]:
    yield _wrapped(f"applied: {told['hash']} on replica {', '.join(by_replica(told))}")
    if not told.get("kept"):
        yield _wrapped(
            "The replica could not keep them in its cache folder: one that replaces it will not "
            "have them."
        )


def _origin(entry: dict[str, Any]) -> str:
    by = entry["by"]
    return f"{entry['via']} by {by}" if by else str(entry["via"])


def _shown(differing: Iterable[Change]) -> Iterator[str]:
    for change in differing:
        old, new = (json.dumps(change[end]) for end in ("from", "to"))
        yield _row(change["key"], f"{old} -> {new}", width=30)


def _row(title: str, text: str, *, width: int = 12) -> str:
    """A title with the text beside it, wrapped."""
    return _wrapped(text, first=f"  {title:<{width}}", below=" " * (width + 2))


def _wrapped(text: str, *, first: str = "", below: str = "  ") -> str:
    return textwrap.fill(
        text, _WIDTH, initial_indent=first, subsequent_indent=below, break_on_hyphens=False
    )


def _hash_of(answer: GatewayAnswer) -> str:
    return answer.etag.strip('"')


def _say(*lines: str) -> None:
    for line in lines:
        sys.stdout.write(f"{line}\n")
