"""Where a run comes from: the command that made it and the machine it ran on. No keys."""

import os
import platform
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

_KEY_FLAG = "--api-key"
_HIDDEN = "***"


def origin(arguments: Sequence[str] | None = None) -> dict[str, object]:
    """Of this process; `arguments` in place of its own command line."""
    words = sys.argv if arguments is None else arguments
    return {
        "command": command(words),
        "machine": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "cpus": len(os.sched_getaffinity(0)),
    }


def command(words: Sequence[str]) -> str:
    """The command line to paste, its program by name, keys left out."""
    program, *rest = words or ("",)
    shown, hide = [Path(program).name], False
    for word in rest:
        if hide:
            shown.append(_HIDDEN)
        elif word.startswith(f"{_KEY_FLAG}="):
            shown.append(f"{_KEY_FLAG}={_HIDDEN}")
        else:
            shown.append(word)
        hide = word == _KEY_FLAG
    return shlex.join(shown)
