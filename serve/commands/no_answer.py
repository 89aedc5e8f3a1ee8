"""Explains in one sentence why nothing answers at a URL, whichever library reports it."""

import socket
import ssl
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}
# The first kind among the causes counts; `told` is the system's message.
_SENTENCES: tuple[tuple[type[OSError], str], ...] = (
    (ConnectionRefusedError, "nothing listens at {place}: is it started, and is this its port?"),
    (socket.gaierror, "no host is called {host}: look at the URL, {url}"),
    (
        TimeoutError,
        "{place} does not answer in time: is it busy, or is there a firewall in between?",
    ),
    (ssl.SSLError, "{place} does not speak TLS as asked: is it http:// in place of https://?"),
    (ConnectionError, "{place} hangs up without an answer: does it speak HTTP, and without TLS?"),
    (OSError, "{place} cannot be reached: {told}"),
)


def no_answer(url: str, problem: BaseException) -> str:
    """The sentence for what a connection to `url` ended with."""
    causes, place = _causes(problem), _place(url)
    if place is None:
        return f"{url!r} is no URL: give one as http://127.0.0.1:8000"
    for kind, sentence in _SENTENCES:
        for cause in causes:
            if isinstance(cause, kind):
                told = cause.strerror or cause
                return sentence.format(place=place, host=urlsplit(url).hostname, url=url, told=told)
    first = (str(problem) or type(problem).__name__).splitlines()[0]
    return f"{place} does not answer as HTTP: {first}"


def _causes(problem: BaseException) -> list[BaseException]:
    """The exception, the system's error inside it, and the exceptions it was raised from."""
    found: list[BaseException] = []
    todo: list[BaseException | None] = [problem]
    while todo:
        now = todo.pop(0)
        if now is not None and now not in found:
            found.append(now)
            todo += [getattr(now, "os_error", None), now.__cause__]
    return found


def _place(url: str) -> str | None:
    """Scheme, host and port; None if it is no URL."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS[parts.scheme]
    except (ValueError, KeyError):
        return None
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}:{port}" if host else None
