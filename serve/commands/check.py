"""`sluice check-config FILE`: checks a profile and prints its summary."""

import argparse
import importlib.util
import json
import os
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from serve.access import tenants
from serve.exits import Exit
from serve.profile.keys import keys_of, plain
from serve.profile.settings import (
    AdmissionSection,
    Profile,
    ProfileError,
    load_admission,
    load_profile,
)

Parse = Callable[[Mapping[str, Any], Mapping[str, Any]], object]  # engine_args, server_args

_WIDTH = 80


def main(args: argparse.Namespace) -> int:
    """Checks `args.file` and prints a summary.

    `args.admission`: the file holds an admission section alone. `args.user_config`: print only
    the admission section, as JSON for Serve's user_config.
    """
    try:
        return _print(args)
    except ProfileError as error:
        sys.stderr.write(f"{error}\n")
        return Exit.BAD_INPUT


def check(path: str | Path, *, parse: Parse | None = None) -> list[str]:
    """Every problem of the profile in `path`, one line each; empty if there is none."""
    try:
        checked(path, parse=parse)
    except ProfileError as error:
        return str(error).splitlines()
    return []


def checked(path: str | Path, *, parse: Parse | None = None) -> Profile:
    """The profile in `path`, with its vLLM arguments and API keys checked.

    Raises ProfileError. Without vLLM (and without `parse`) its arguments are not checked.
    """
    profile = load_profile(path)
    parse = parse or _vllm_parser()
    try:
        if parse is not None:
            parse(_with_model(profile), profile.server_args)
        if not _missing_keys(profile):
            tenants.load_keys(profile.access)
    except ValueError as error:
        raise ProfileError(f"{path}: {error}") from None
    return profile


def _print(args: argparse.Namespace) -> int:
    if args.admission:
        profile, section = None, load_admission(args.file)
    else:
        profile = checked(args.file)
        section = profile.admission
    if args.user_config:
        sys.stdout.write(f"{json.dumps(section.mapping(), indent=2)}\n")
        return Exit.GOOD
    lines = [*(summary(profile) if profile else ()), *admission_summary(section), "OK"]
    sys.stdout.write("\n".join((str(args.file), *lines, "")))
    return Exit.GOOD


def summary(profile: Profile) -> Iterator[str]:
    """Summary of the profile, in lines of at most 80 columns."""
    replicas = f"{profile.engine.replicas} replica{'s' if profile.engine.replicas > 1 else ''}"
    gpus = profile.gpus_per_replica
    place = f"{plain(gpus)} GPU{'s' if gpus != 1 else ''} each" if gpus else "on the CPU"
    yield _row("engine", f"{profile.engine.kind}, {replicas}, {place}")
    yield _row("model", str(_with_model(profile)["model"]))
    yield _row("address", f"http://{profile.http.host}:{profile.http.port}")
    yield _row("API keys", _keys(profile))
    yield from _arguments("engine_args", profile.engine_args)
    yield from _arguments("server_args", profile.server_args)
    yield from (_row("note", note) for note in notes(profile))


def notes(profile: Profile) -> Iterator[str]:
    """Warnings: what is allowed but may be a mistake."""
    for missing in _missing_keys(profile):
        yield f"{missing}: the gateway will not start without"
    if profile.server_args.get("enable_log_outputs"):
        yield "enable_log_outputs writes the text of answers to the log"
    if importlib.util.find_spec("vllm") is None:
        yield "vLLM is not installed here: its arguments were not checked"


def admission_summary(section: AdmissionSection) -> Iterator[str]:
    """Every admission setting in effect, its unit, and its default where that differs."""
    yield _row("admission", f"config hash {section.hash()}")
    values = section.mapping()
    for key in keys_of(AdmissionSection):
        value, default = _at(values, key.path), _plain(key.default)
        note = "" if value == default else f"  (default {_shown(default)})"
        unit = "" if key.unit == "name" else f" {key.unit}"
        yield textwrap.fill(
            f"{_shown(value)}{unit}{note}",
            _WIDTH,
            initial_indent=f"  {key.path:<30}",
            subsequent_indent=" " * 32,
        )


def _vllm_parser() -> Parse | None:
    if importlib.util.find_spec("vllm") is None:
        return None
    from serve.engine.arguments import parse_arguments  # noqa: PLC0415 - importing vLLM takes seconds

    return parse_arguments


def _with_model(profile: Profile) -> dict[str, Any]:
    """Engine arguments with the embedded model's name in place of its folder."""
    embedded = profile.engine.embedded_model
    return {**profile.engine_args, **({} if embedded is None else {"model": embedded})}


def _missing_keys(profile: Profile) -> list[str]:
    """Named sources of API keys that are missing here; the serving machine may have them."""
    file, variable = profile.access.api_keys_file, profile.access.api_keys_env
    missing = []
    if file is not None and not file.exists():
        missing.append(f"API keys file {file.name} is not there yet")
    if variable is not None and not os.environ.get(variable):
        missing.append(f"environment variable {variable} is not set")
    return missing


def _keys(profile: Profile) -> str:
    file, variable = profile.access.api_keys_file, profile.access.api_keys_env
    sources = [f"file {file.name}"] if file else []
    sources += [f"variable {variable}"] if variable else []
    return " and ".join(sources) or "none; callers of this machine only"


def _arguments(title: str, given: dict[str, Any]) -> Iterator[str]:
    written = ", ".join(f"{name}={_shown(value)}" for name, value in given.items())
    yield _row(title, written or "vLLM's defaults")


def _row(title: str, text: str) -> str:
    return textwrap.fill(
        text,
        width=_WIDTH,
        initial_indent=f"  {title:<12}",
        subsequent_indent=" " * 14,
        break_on_hyphens=False,
    )


def _at(values: dict[str, Any], path: str) -> object:
    found: Any = values
    for name in path.split("."):
        found = found[name]
    return found


def _plain(value: object) -> object:
    return value.value if isinstance(value, Enum) else value


def _shown(value: object) -> str:
    """A value in YAML's notation."""
    if isinstance(value, bool | None):
        return json.dumps(value)
    return plain(value) if isinstance(value, int | float) else str(value)
